"""Stores that a crash left behind a published batch are brought up to it; what cannot be helped stops with its name."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from coordinator.service import Fault
from coordinator.store.folders import numbered
from coordinator.store.schema import METADATA
from tests.e2e.running import Net, edgetally
from tests.ingest.hand import Hand

from .driven import Driven, driven

STORES = sorted(METADATA)


def dump(net: Net, store: str) -> list[str]:
    with sqlite3.connect(net.home.stores / f"{store}.sqlite") as connection:
        return sorted(connection.iterdump())


async def some_life(at: Driven, hands: list[Hand], beacons: int) -> None:
    for _ in range(beacons):
        await at.beacons()
        for hand in hands:
            await at.submit(hand.report(at.beacon))


class Left:
    """A network whose newest batch is published, and copies of its stores from before it and from before that."""

    def __init__(self, folder: Path) -> None:
        self.net = Net(folder / "net", {"epoch_beacons": 4, "deadline_beacons": 2})
        self.older, self.old = folder / "older", folder / "old"
        token = self.net.token()
        self.hands = [Hand(self.net.given(token)) for _ in range(3)]
        asyncio.run(self._live())

    async def _live(self) -> None:
        net = self.net
        async with driven(net) as at:
            await at.beacons()
            for hand in self.hands:
                await at.enrol(hand)
            await some_life(at, self.hands, 8)
        shutil.copytree(net.home.stores, self.older)
        async with driven(net) as at:
            await some_life(at, self.hands, 1)
        shutil.copytree(net.home.stores, self.old)
        async with driven(net) as at:
            await at.service.beacon()
            sealed = at.service.node.seal_next()  # the folder is there; nothing applied it
            assert sealed is not None
            self.newest = sealed.sealed.header.number
            self.redo = (net.home.redo / f"{self.newest}.cbor").read_bytes()

    def put_back(self, store: str, copies: Path) -> None:
        for path in net_files(self.net.home.stores, store):
            path.unlink()
        for path in net_files(copies, store):
            shutil.copy(path, self.net.home.stores)

    def start(self) -> None:
        async def run() -> None:
            async with driven(self.net) as at:
                assert at.service.node.next_batch == self.newest + 1

        asyncio.run(run())


def net_files(folder: Path, store: str) -> list[Path]:
    return sorted(folder.glob(f"{store}.sqlite*"))


def test_a_crash_between_the_folder_and_the_stores(tmp_path: Path) -> None:
    left = Left(tmp_path)
    net, redo = left.net, left.net.home.redo / f"{left.newest}.cbor"
    left.start()
    assert not redo.exists()
    whole = {store: dump(net, store) for store in STORES}
    for store in STORES:
        left.put_back(store, left.old)
        redo.write_bytes(left.redo)
        assert dump(net, store) != whole[store]
        left.start()
        assert dump(net, store) == whole[store], store
        assert not redo.exists()
    # Started again without any work to do, nothing changes; and it goes on from there.
    left.start()
    assert {store: dump(net, store) for store in STORES} == whole

    async def go_on() -> None:
        async with driven(net) as at:
            await some_life(at, left.hands, 2)
            assert numbered(net.home.batches)[-1] == left.newest + 2

    asyncio.run(go_on())
    net.audit()


def test_a_store_two_batches_behind_is_a_fault_with_a_name(tmp_path: Path) -> None:
    left = Left(tmp_path)
    left.start()
    left.put_back("rewards", left.older)
    with pytest.raises(
        Fault, match=rf"store rewards ends with batch {left.newest - 2}, .* {left.newest}; run: edgetally rebuild"
    ):
        left.start()
    done = edgetally("up", "--config", left.net.config)
    assert done.returncode == 4
    assert "edgetally: fault: store rewards ends with batch" in done.stderr and "Traceback" not in done.stderr


def test_a_store_behind_whose_redo_is_gone_is_a_fault_with_a_name(tmp_path: Path) -> None:
    left = Left(tmp_path)
    left.start()
    left.put_back("ledger", left.old)
    done = edgetally("up", "--config", left.net.config)
    assert done.returncode == 4, done.stderr
    assert "run: edgetally rebuild ledger" in done.stderr and "Traceback" not in done.stderr


def test_the_clock_may_step_back_but_beacons_do_not(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")

    async def run() -> None:
        async with driven(net) as at:
            await at.beacons()
            node = at.service.node
            first = node.beacons.beacons[-1].time
            for step in (0, -(10**6), 50, -1, 10**6, 0):
                node.beacon(first + step)
            times = [beacon.time - first for beacon in node.beacons.beacons]
            assert times == [0, 0, 0, 50, 50, 10**6, 10**6]
        async with driven(net) as at:  # and not behind a restart either
            await at.beacons()
            assert at.service.node.beacons.beacons[-1].time == first + 10**6

    asyncio.run(run())


def test_a_network_of_other_rules_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Left(tmp_path)
    monkeypatch.setattr("coordinator.node.RULES_VERSION", 99)
    with pytest.raises(Fault, match=r"of rules version 4, this program has 99; it takes edgetally 0\.1 to go on"):
        left.start()
