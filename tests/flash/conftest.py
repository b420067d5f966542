"""What the tests of flashing share: one built client, one provisioning, one rehearsal by the command itself."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from device_client.profiles import compiled, load_profile
from device_client.provisioning import Provisioning
from firmware.flashing import image
from tests.parts import ROOT, require_micropython

BOARD = "esp32-devkitc"
WIFI = (("home", "correct horse"), ("fallback", "battery staple"))
PASSWORDS = [password for _, password in WIFI]


@pytest.fixture(scope="session")
def client() -> image.Files:
    """The client for an ESP32."""
    return image.application("xtensawin")


@pytest.fixture(scope="session")
def given() -> Provisioning:
    return Provisioning("testnet", bytes(32), bytes(range(32)), b"\x5e" * 32, "server.example", 1883, 60)


@pytest.fixture(scope="session")
def secret(given: Provisioning) -> bytes:
    return image.provisioning(given, image.Settings(WIFI))


@pytest.fixture(scope="session")
def files(client: image.Files, secret: bytes) -> image.Files:
    return image.board_files(client, compiled(load_profile(BOARD)), secret, None)


def edgetally(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "coordinator.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        env=os.environ | variables, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, str]:
    """The JSON of `edgetally flash --simulate`, the folder of its temporary files, and its stderr."""
    require_micropython()
    folder = tmp_path_factory.mktemp("rehearsal")
    done = edgetally("flash", "--simulate", "--board", BOARD, "--json", TMPDIR=str(folder))
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout), folder, done.stderr
