"""Statements wait while a beacon is made, so it must not read again what may be large."""

import asyncio
from pathlib import Path

import pytest

from coordinator.node import Node
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import Driven, driven

BATCHES = 4


@pytest.mark.parametrize("batch_beacons", [1, 2])
def test_a_beacon_reads_no_slot_while_all_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_beacons: int
) -> None:
    """Neither from the intake nor from a batch that took the slot meanwhile; and what it says is right."""
    net = Net(tmp_path / "net", {"batch_beacons": batch_beacons})
    hand, reading, waiting = Hand(net.given(net.token())), list[int](), list[bool]()
    read, beacon = Node._read_root, Node.beacon

    def watched(node: Node, slot: int) -> bytes:
        if waiting and slot >= 0:
            reading.append(slot)
        return read(node, slot)

    def held(node: Node, time: int) -> bytes:
        waiting.append(True)
        try:
            return beacon(node, time)
        finally:
            waiting.pop()

    monkeypatch.setattr(Node, "_read_root", watched)
    monkeypatch.setattr(Node, "beacon", held)

    async def lived(at: Driven) -> int:
        for _ in range(BATCHES * batch_beacons + 2):
            await at.submit(hand.report(at.beacon))
            await at.beacons()
        assert len(at.service.node._roots) <= 2, "none is kept longer than a beacon needs it"
        return at.service.node.next_batch

    async def run() -> int:
        async with driven(net) as at:
            await at.beacons()
            await at.enrol(hand)
            await lived(at)
            assert reading == []
        async with driven(net) as at:  # what it knew is gone: it reads one slot once
            count = await lived(at)
            assert len(reading) <= 1
            return count

    assert asyncio.run(run()) >= 2 * BATCHES
    net.audit()
