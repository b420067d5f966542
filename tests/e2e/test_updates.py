"""A release from the operator's command to a board that runs it: simulated board, real broker, real coordinator."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator import service
from coordinator.store.rollouts import FETCHING, OFFERED, ROLLED_BACK, RUNNING, Rollouts
from device_client.profiles import compiled, load_profile
from tests.cli import inside
from tests.firmware.board_network import WIFI, application, chooser
from tests.firmware.board_parts import PARTITIONS, Kept, dump
from tests.firmware.link_parts import FIRMWARE
from tests.parts import require_micropython

from .running import Net

BOARD = "esp32-devkitc"
PATIENCE_S = 60.0
TWO_SLOTS = PARTITIONS | {"vfs": (1, 0x81, 0x20000, 0xC0000), "outbox": (1, 0x40, 0xE0000, 0x10000)}
MUTE = b"import machine\n\n\ndef main(safe):\n    machine.reset()  # as a watchdog would, before anything is sent\n"


def files(is_mute: bool = False) -> dict[str, bytes]:
    """The application of a board, which asks every two seconds instead of every hour."""
    import build  # beside the firmware, as `board_network` imports it

    found = dict(application())
    text = (FIRMWARE / "updating.py").read_text()
    assert text.count("EVERY_MS = 3_600_000") == 1
    found["updating.mpy"] = hastened(build.compiled, text.replace("3_600_000", "2_000"))
    if is_mute:
        del found["app.mpy"]
        found["app.py"] = MUTE
    return found


def hastened(compile_module: Callable[[Path, Path, str], Path], text: str) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "updating.py"
        source.write_text(text)
        return compile_module(source, Path(folder) / "updating.mpy", "x64").read_bytes()


def board_of(net: Net, folder: Path) -> Kept:
    """A board that was flashed with the application as version 0."""
    given = json.loads(net.given(net.token()).to_json()) | {"interval_s": 1, "retry_ms": 1000, "wifi": WIFI}
    given |= {"epoch_beacons": 0}  # proofs have tests of their own
    root = {
        "main.py": chooser(),
        "provisioning.json": json.dumps(given).encode(),
        "board.json": json.dumps(compiled(load_profile(BOARD))).encode(),
    }
    folder.mkdir()
    flash = dump(folder / "flash.bin", root | {f"a/{path}": data for path, data in files().items()}, TWO_SLOTS)
    world = folder / "world.json"
    world.write_text("{}")
    return Kept(flash, world)


def run(*arguments: object) -> str:
    done = inside.edgetally(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rollout(net: Net) -> dict[str, Any]:
    (found,) = json.loads(run("rollout", "status", "--config", net.config, "--json"))["rollouts"]
    return found


def stage(net: Net, version: int) -> int:
    """How far the only board is; 0 if it is not known."""
    stages = Rollouts(net.home.rollouts, net.home.releases).stages(BOARD, version)
    return next((held for held, _ in stages.values()), 0)


async def told(running: service.Service) -> dict[str, int]:
    """What the board said about itself, as everybody sees it."""
    (device,) = await running.queries.devices(b"", 10)
    return {one.name: one.value for one in device.notices}


async def until(condition: Callable[[], Any], board: Kept, what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - a file says it
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{what} did not come:\n" + "\n".join(list(board.said)[-20:])) from None


@pytest.fixture
def net(tmp_path: Path) -> Net:
    require_micropython()
    net = Net(tmp_path / "net")
    key = tmp_path / "firmware.key"
    run("firmware", "key", key, "--config", net.config)
    for version, is_mute in ((2, False), (3, True)):
        folder = tmp_path / f"release-{version}"
        for path, data in {**files(is_mute), "extra.mpy": bytes([version]) * 30_000}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        signed = ("--board", BOARD, "--version", version, "--key", key, "--files", folder, "--config", net.config)
        assert "valid     30 days" in run("firmware", "sign", *signed)
    return net


def test_from_version_0_to_2_and_back_from_3(net: Net, tmp_path: Path) -> None:
    settings = net.settings.model_copy(update={"ingest_workers": 2})  # questions pass through their processes
    board = board_of(net, tmp_path / "board")

    async def life() -> None:
        async with service.running(settings, net.folder) as running, board:
            await board.until(lambda line: line.startswith("{") and json.loads(line)["receipts"] > 0)
            run("rollout", "start", "--percent", 100, "--version", 2, "--config", net.config)
            await until(lambda: stage(net, 2) in (OFFERED, FETCHING), board, "the first questions")
            await board.cut_power()
            await board.power_on()
            await until(lambda: stage(net, 2) == RUNNING, board, "version 2")
            assert rollout(net)["devices"]["running"] == 1 and rollout(net)["percent"] == 100
            assert board.ends == ["power cut", "reset"], "one restart, into the new version"
            # A bad version: it never gets a receipt, is rolled back, said so, and not tried again.
            run("rollout", "start", "--percent", 100, "--config", net.config)
            await until(lambda: stage(net, 3) == ROLLED_BACK, board, "the way back from version 3")
            assert "edgetally: version 3 is rolled back" in board.said
            assert board.ends[2:] == ["reset"] * 6, "into version 3, and five starts of it"
            assert rollout(net)["devices"]["rolled_back"] == 1 and not rollout(net)["devices"]["running"]
            receipts = lambda line: line.startswith("{") and json.loads(line)["receipts"] > 5  # noqa: E731
            await board.until(receipts)
            assert len(board.ends) == 8, "reports go on"
            async with asyncio.timeout(PATIENCE_S):
                while (await told(running))["update_rolled_back"] != 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)  # until the batch with the report is applied
            assert (await told(running))["firmware_version"] == 2

    asyncio.run(life())
    net.audit()
