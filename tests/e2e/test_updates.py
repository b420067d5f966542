"""A release from the operator's command to the board that runs it: real MicroPython, real broker, real coordinator."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import littlefs
import pytest

from coordinator.store.rollouts import OFFERED, ROLLED_BACK, RUNNING, Rollouts
from tests.cli import inside
from tests.core.parts import built
from tests.parts import ROOT, require_micropython

from .running import Net, coordinator, until

BOARD = "esp32-devkitc"
START = Path(__file__).with_name("board_start.py")
RESET = 75
PATIENCE_S = 60.0
APP = """
import board
import machine
import provisioning
import start
import sys
import updating


def main(safe):
    if {is_mute}:
        machine.reset()  # as a watchdog would, before anything is sent
    board.sync_folder = lambda path: None  # a board's file system knows none
    device = start.ready(provisioning.load("/provisioning.json"))
    running = "ab".index(sys.path[0][-1])
    device.updating = updating.Updating(device._client, "esp32-devkitc", "", running, machine.reset)
    device.updating.every_ms = 2_000
    print('{{"version": %d, "is": {version}}}' % device.updating.version)
    sys.exit(device.main())
"""


def application(folder: Path, version: int, is_mute: bool = False) -> Path:
    """The firmware with an application on top that says its version."""
    shutil.copytree(built(), folder, ignore=shutil.ignore_patterns("main.py", "questions.py"))
    (folder / "app.py").write_text(APP.format(version=version, is_mute=is_mute))
    return folder


def image_of(folder: Path) -> bytes:
    """The file system of a board, as it is flashed."""
    fs = littlefs.LittleFS(block_size=4096, block_count=256)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            fs.mkdir(name)
        else:
            with fs.open(name, "wb") as file:
                file.write(path.read_bytes())
    return bytes(fs.context.buffer)


class Board:
    """A board with version 1 in its flash, started again after every reset."""

    def __init__(self, net: Net, folder: Path) -> None:
        application(folder / "a", 1)
        (folder / "state").mkdir()
        shutil.copy(ROOT / "firmware" / "root" / "main.py", folder / "main.py")
        given = json.loads(net.given(net.token()).to_json())
        given |= {"interval_s": 1, "state_dir": "/state", "retry_ms": 1000, "records_max": 16}
        (folder / "provisioning.json").write_text(json.dumps(given))
        self._image = folder.with_suffix(".bin")
        self._image.write_bytes(image_of(folder))
        self._said = folder.with_suffix(".log")
        self.resets = 0
        self._process = self._started()

    def _started(self) -> "subprocess.Popen[str]":
        command = [require_micropython(), "-X", "heapsize=256K", "-O3", str(START), str(self._image)]
        with self._said.open("ab") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, text=True, env=dict(os.environ))

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def kill(self) -> None:
        """A power cut."""
        self._process.kill()
        self._process.wait(10)
        self._process = self._started()

    @property
    def said(self) -> list[dict[str, Any]]:
        code = self._process.poll()
        assert code in (None, RESET), self._said.read_text()
        if code == RESET:
            self.resets += 1
            self._process = self._started()
        return [json.loads(line) for line in self._said.read_text().splitlines() if line[:1] == "{" and line[-1] == "}"]

    def starts(self) -> list[int]:
        """The versions that ran, by what they say themselves."""
        return [line["is"] for line in self.said if "is" in line]


def run(*arguments: object) -> str:
    done = inside.edgetally(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def has(net: Net, board: Board, version: int, stage: int) -> bool:
    """Whether the board is that far; it is started again if it has reset itself."""
    stages = Rollouts(net.home.rollouts, net.home.releases).stages(BOARD, version)
    return bool(board.said) and [held for held, _ in stages.values()] == [stage]


def told(net: Net) -> dict[str, int]:
    """What the board said about itself, as everybody sees it."""
    (device,) = net.get("devices")["devices"]
    return {one["name"]: one["value"] for one in device["notices"]}


def rollout(net: Net) -> dict[str, Any]:
    (found,) = json.loads(run("rollout", "status", "--config", net.config, "--json"))["rollouts"]
    return found


@pytest.fixture
def net(tmp_path: Path) -> Net:
    net = Net(tmp_path / "net")
    key = tmp_path / "firmware.key"
    run("firmware", "key", key, "--config", net.config)
    assert key.stat().st_mode & 0o777 == 0o600
    for version, is_mute in ((2, False), (3, True)):
        folder = application(tmp_path / f"release-{version}", version, is_mute)
        signed = ("--board", BOARD, "--version", version, "--key", key, "--files", folder, "--config", net.config)
        assert "valid     30 days" in run("firmware", "sign", *signed)
    return net


def test_from_version_1_to_2_and_back_from_3(net: Net, tmp_path: Path) -> None:
    with coordinator(net), Board(net, tmp_path / "board") as board:
        until(lambda: any(line.get("receipts") for line in board.said), "a receipt", PATIENCE_S)
        run("rollout", "start", "--percent", "100", "--version", 2, "--config", net.config)
        until(lambda: has(net, board, 2, OFFERED), "the board to ask", PATIENCE_S)
        board.kill()
        until(lambda: has(net, board, 2, RUNNING), "the board to run version 2", PATIENCE_S)
        assert rollout(net)["devices"]["running"] == 1 and rollout(net)["percent"] == 100
        assert board.starts() == [1, 1, 2]
        until(lambda: told(net).get("firmware_version") == 2, "the notice of version 2")
        assert board.resets == 1
        # A bad version: it never gets a receipt, is rolled back, said so, and not tried again.
        run("rollout", "start", "--percent", "100", "--config", net.config)
        until(lambda: has(net, board, 3, ROLLED_BACK), "the board to come back from version 3", PATIENCE_S)
        assert board.starts() == [1, 1, 2, 2]
        until(lambda: told(net).get("update_rolled_back") == 3, "the notice of what was rolled back")
        assert rollout(net)["devices"]["rolled_back"] == 1 and not rollout(net)["devices"]["running"]
        assert "version 3 is rolled back" in board._said.read_text()
        before = len([line for line in board.said if line.get("receipts")])
        until(lambda: len([line for line in board.said if line.get("receipts")]) > before + 3, "reports to go on")
        assert board.starts() == [1, 1, 2, 2]
