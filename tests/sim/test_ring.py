"""Boards on a ring in flash before the real coordinator: power that fails inside writes and erases, a week offline."""

from pathlib import Path

import pytest

from device_client.core import notices, verdicts
from device_client.core.client import Client
from device_client.core.ring import Ring
from tests.core.nor import Nor

from . import device as device_module
from .device import SimDevice
from .network import Network
from .properties import check
from .test_partition import HOUR_S, PARAMETERS, WEEK, Islander
from .wire import ROUGH


class Cut(Exception):
    def __init__(self, image: bytes) -> None:
        self.image = image


class Board(SimDevice):
    """A power cut comes in one of the next writes or erases, and leaves one of the flashes that it may leave."""

    sectors = 4
    cuts = 0
    nor: Nor | None = None
    until_cut = 0

    def boot(self) -> None:
        while True:
            self.nor = self.nor or Nor(self.sectors)
            self.nor.torn = self._torn if self.until_cut else None
            try:
                self._boot(Ring(self.nor))
                return
            except Cut as cut:
                self._restart(cut)

    def _boot(self, ring: Ring) -> None:
        made = device_module.Outbox
        device_module.Outbox = lambda *_: ring  # type: ignore[misc,assignment]
        try:
            super().boot()
        finally:
            device_module.Outbox = made  # type: ignore[misc]

    def power_cut(self) -> None:
        self.until_cut = self.random.randint(1, 12)
        assert self.nor is not None
        self.nor.torn = self._torn

    def _torn(self, image: bytes) -> None:
        self.until_cut -= 1
        if self.until_cut == 0:
            raise Cut(bytes(image))

    def _restart(self, cut: Cut) -> None:
        self.cuts += 1
        self.nor = Nor(self.sectors, cut.image)

    def tick(self) -> list[bytes]:
        try:
            return super().tick()
        except Cut as cut:
            self._restart(cut)
            self.boot()
            return []

    def take_sheet(self, data: bytes) -> None:
        try:
            super().take_sheet(data)
        except Cut as cut:
            self._restart(cut)
            self.boot()


def test_power_cuts_inside_the_flash_in_rough_weather(tmp_path: Path, seed: int) -> None:
    """Nothing receipted is lost, nothing is counted twice, nobody is taken for a copy: see `check`."""
    network = Network(tmp_path, seed, ROUGH._replace(power_cut=0.05), {"batch_beacons": 1 + seed % 3})
    token = network.token("owner")
    boards = [Board(network, f"board {index}", token) for index in range(4)]
    for board in boards:
        network.add(board)
    network.run(40)
    network.settle()
    report = check(network)
    assert report.statements > 60
    assert sum(board.cuts for board in boards) > 10
    assert all(board.client.boot > board.cuts for board in boards)


class OfflineBoard(Islander):
    """While it is cut off a report a minute: it has 40 s between two, and without beacons waits half as long again."""

    def boot(self) -> None:
        self.nor = Nor(256)
        self.ring = Ring(self.nor)
        made = device_module.Outbox
        device_module.Outbox = lambda *_: self.ring  # type: ignore[misc,assignment]
        try:
            super().boot()
        finally:
            device_module.Outbox = made  # type: ignore[misc]

    def tick(self) -> list[bytes]:
        messages = super().tick()
        for minute in range(1, 15 if self.cut else 1):
            now_ms = self.network.now_ms + minute * 60_000
            self.client.sample(self.sensor(self.random), now_ms)
            assert self.client.tick(now_ms) == []
        return messages


@pytest.mark.timeout(120)
def test_a_week_offline_at_a_report_a_minute_fills_a_ring_of_a_mebibyte(tmp_path: Path) -> None:
    """The oldest are dropped and counted, what is left counts as late, and the others do not notice."""
    parameters = {**PARAMETERS, "late_beacons_max": 300, "batch_beacons": 6}
    network = Network(tmp_path, 3, parameters=parameters, tick_ms=HOUR_S * 1000 // 4)
    token = network.token("owner")
    board = OfflineBoard(network, "board", token, interval_s=40)
    other = SimDevice(network, "other", token, interval_s=HOUR_S)
    network.add(board)
    network.add(other)
    network.run(6)
    before = board.client.counters["reports"]
    board.cut_off()
    network.run(WEEK)
    made = board.client.counters["reports"] - before
    ring = board.ring
    waiting, dropped = ring.waiting, ring.dropped
    assert made >= 10_000 and len(ring.pending) <= 24
    assert waiting > 3500 and waiting + dropped >= made
    oldest = ring.pending[0].seq
    assert oldest > made - waiting, "the oldest went first"
    board.reconnect()
    network.run(60)
    network.settle()
    check(network)
    rows = network.records("identity", "verdicts")
    late = [row for row in rows if row[0] == board.id and row[6] == verdicts.LATE]
    assert len(late) >= waiting - 50
    assert min(row[2] for row in late if row[2] > before + 50) >= oldest  # type: ignore[operator,type-var]
    told = network.node.state["notices"]["notices"]
    (value,) = [row for key, row in told.items() if key == (board.id, notices.DROPPED)]
    assert dropped in value, "the device said how many it dropped"
    theirs = [row for row in rows if row[0] == other.id]
    assert len(theirs) > WEEK and all(row[6] == verdicts.OK for row in theirs), "nobody else waited"
    assert isinstance(board.client, Client) and sum(board.nor.erases) / made < 0.1
