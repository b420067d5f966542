"""Boards with the whole firmware in their flash, against a real broker and a real intake."""

import json
from pathlib import Path

from tests.firmware.board_parts import Kept, dump
from tests.firmware.link_parts import FIRMWARE
from tests.firmware.shell_network import Network, built

BOARD = {
    "board": "esp32-devkitc",
    "pins": {"led": 2, "button": 0},
    "led_kind": "plain",
    "led_active": 1,
    "watchdog_s": 20,
    "deep_sleep": False,
    "buses": [],
    "sensors": [],
}
WIFI = [["home", "right"]]
# Runs before /main.py; what it imports stays.
BOOT = """
import sys
sys.path[:] = ["/a", "/a/lib", ".frozen"]
"""


def chooser() -> bytes:
    """The /main.py of every board; a crash is followed by the next start at once."""
    text = (FIRMWARE / "root/main.py").read_text()
    assert text.count("sleep(5)") == 1
    return text.replace("sleep(5)", "sleep(0.02)").encode()


def files(network: Network, before: str = "", board: dict | None = None, **changes) -> dict[str, bytes]:
    """What `vfs` holds. `before`: lines that run before the application."""
    found = {
        "main.py": chooser(),
        "boot.py": (BOOT + before).encode(),
        "provisioning.json": json.dumps(network.fields() | {"wifi": WIFI} | changes).encode(),
        "board.json": json.dumps(BOARD | (board or {})).encode(),
    }
    folder = built()
    for path in folder.rglob("*.mpy"):
        found[f"a/{path.relative_to(folder)}"] = path.read_bytes()
    return found


class Reporter(Kept):
    """A board; `status` waits for a status line that satisfies a condition."""

    async def status(self, wanted=lambda status: True) -> dict:
        return json.loads(await self.until(lambda line: line.startswith("{") and wanted(json.loads(line))))


def made(path: Path, network: Network, scenario: dict | None = None, **settings) -> Reporter:
    dump(path, files(network, **settings))
    world = None
    if scenario is not None:
        world = path.with_suffix(".world.json")
        world.write_text(json.dumps(scenario))
    return Reporter(path, world)
