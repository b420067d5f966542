"""Real parts for tests: found on this machine, or the test is skipped with the reason (and fails in CI)."""

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _require(name: str, hint: str, *extra: Path) -> str:
    for candidate in (*map(str, extra), shutil.which(name), shutil.which(name, path="/usr/sbin:/usr/local/sbin")):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    return unavailable(f"{name} is not on this machine: {hint}")


def unavailable(reason: str) -> NoReturn:
    """Skip with a reason; CI has everything."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def require_micropython() -> str:
    return _require("micropython", "make setup", Path(sys.executable).parent / "micropython")


def require_mosquitto() -> str:
    return _require("mosquitto", "apt-get install mosquitto")


def require_chromium() -> str:
    return _require("chromium", "apt-get install chromium")


def require_graphviz() -> str:
    return _require("dot", "apt-get install graphviz")


def require_promtool() -> str:
    return _require("promtool", "apt-get install prometheus")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
