"""Boards with the whole firmware in their flash, against a real broker and a real intake."""

import importlib
import json
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from device_client.core import cose, received, statement, verdicts
from device_client.core.statement import Statement
from device_client.profiles import compiled, load_profile
from tests.firmware.board_parts import Kept, dump
from tests.firmware.link_parts import FIRMWARE
from tests.firmware.shell_network import Network

build = importlib.import_module("build")
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


def files(
    network: Network,
    before: str = "",
    board: dict | None = None,
    sensors: tuple[str, ...] = (),
    constants: dict[str, dict[str, int]] | None = None,
    **changes,
) -> dict[str, bytes]:
    """What `vfs` holds. `before`: lines that run before the application; `constants`: module -> name -> value."""
    found = {
        "main.py": chooser(),
        "boot.py": build.naming().renamed(BOOT + before).encode(),
        "provisioning.json": json.dumps(network.fields() | {"wifi": WIFI} | changes).encode(),
        "board.json": json.dumps(compiled(load_profile("esp32-devkitc"), sensors) | (board or {})).encode(),
    }
    slot = application()
    for module, values in (constants or {}).items():
        slot = slot | {f"{module}.mpy": changed(module, values)}
    return found | {f"a/{name}": data for name, data in slot.items()}


@cache
def application() -> dict[str, bytes]:
    return build.application("x64")


def changed(module: str, values: dict[str, int]) -> bytes:
    """A module of the firmware with other constants."""
    text = (FIRMWARE / f"{module}.py").read_text()
    for name, value in values.items():
        text, count = re.subn(rf"^{name} = .*$", rf"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{module}.py"
        source.write_text(text)
        return build.compiled(source, source.with_suffix(".mpy"), "x64").read_bytes()


class Reporter(Kept):
    """A board; `status` waits for a status line that satisfies a condition."""

    async def status(self, wanted: Callable[[dict], bool] = lambda status: True) -> dict:
        return json.loads(await self.until(lambda line: line.startswith("{") and wanted(json.loads(line))))

    def air(self, **scenario) -> None:
        """Change the world around it."""
        fresh = self.world.with_suffix(".new")
        fresh.write_text(json.dumps(scenario))
        fresh.rename(self.world)


def made(path: Path, network: Network, scenario: dict | None = None, **settings) -> Reporter:
    """A board with a fresh flash; `settings` are those of `files`."""
    dump(path, files(network, **settings))
    board = Reporter(path, path.with_suffix(".world.json"))
    board.flash, board.world = path, path.with_suffix(".world.json")
    board.air(**(scenario or {}))
    return board


def receipts(count: int) -> Callable[[dict], bool]:
    return lambda status: status["receipts"] >= count


def said(network: Network) -> list[Statement]:
    """Every accepted statement in the order in which it came, no number used twice by one device."""
    assert not network.refused, network.refused
    assert {outcome.code for outcome in network.outcomes} <= {verdicts.OK, verdicts.DUPLICATE}
    ids: dict[tuple, bytes] = {}
    for outcome in network.outcomes:
        row = outcome.row
        assert ids.setdefault((row.device, row.boot, row.seq), row.id8) == row.id8, "a number was used twice"
    return [
        received.statement(cose.unwrap(received.message(message)[0]).payload)
        for message, outcome in zip(network.messages, network.outcomes, strict=True)
        if outcome.code != verdicts.DUPLICATE
    ]


def told(network: Network, code: int) -> list[int]:
    """The values that reports said of a notice, in the order in which they came."""
    return [
        value
        for one in said(network)
        if one.kind == statement.KIND_REPORT and len(one.body) == 3
        for found, value in one.body[2]
        if found == code
    ]
