"""One network with a past, a backup made while its coordinator was running, and one made when it had ended."""

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from coordinator.backup.make import Made, backup
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.store.driven import Driven, driven

VALUES = {"epoch_beacons": 4, "deadline_beacons": 2, "sensing_units": [["Cel", -600, 1300, 200, 3]]}
NOW_S = 1_800_000_000
WAITING = 3  # statements in the intake, in no batch


class Lived(NamedTuple):
    net: Net
    running: Made
    stopped: Made


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total


def copied(lived: Net, folder: Path) -> Net:
    """A network that a test may break."""
    made = object.__new__(Net)
    made.__dict__.update(lived.__dict__)
    made.folder = folder / "net"
    shutil.copytree(lived.folder, made.folder)
    made.home = type(lived.home)(made.folder / "data")
    made.config = made.folder / "network.toml"
    return made


async def said(at: Driven, hands: list[Hand]) -> None:
    for hand in hands:
        await at.submit(hand.report(at.beacon, [2000]))


async def life(net: Net, folder: Path) -> Made:
    token = net.token(devices=50)
    async with driven(net) as at:
        await at.beacons()
        hands = [await at.enrol(Hand(net.given(token))) for _ in range(WAITING)]
        for _ in range(9):
            await said(at, hands)
            await at.beacons()
        await said(at, hands)
        return await asyncio.to_thread(backup, net.home, net.config, folder / "running.tar", NOW_S, silent)


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    folder = tmp_path_factory.mktemp("backup")
    net = Net(folder / "net", VALUES)
    running = asyncio.run(life(net, folder))
    return Lived(net, running, backup(net.home, net.config, folder / "stopped.tar", NOW_S, silent))
