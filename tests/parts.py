"""Real parts for tests: found on this machine, or the test is skipped with the reason (and fails in CI)."""

import os
import shutil
import socket
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
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


_held: deque[socket.socket] = deque(maxlen=200)


def free_port() -> int:
    """A port that nobody else is given while this test runs: it stays bound, and never listens. A server binds it all
    the same, for all of ours set SO_REUSEADDR; until then whoever connects is refused."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(held)
    return int(held.getsockname()[1])


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else listens there."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        yield
