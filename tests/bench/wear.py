"""What an outbox costs the flash of a board: erases and bytes a report, counted by a block device, with a real client.

The default profile: a report a minute of one reading set of four channels, a beacon a minute, an epoch of a day, a
receipt for each, two restarts a day. Then the same without any link, until the ring is full and beyond.
"""

import random
from typing import Any

from tests.core import client_bench as bench
from tests.core.nor import SECTOR, Nor

DAY = 1440
ENDURANCE = 100_000
CHANNELS = [["temperature", "Cel", -2], ["humidity", "%RH", -1], ["pressure", "hPa", -1], ["battery", "V", -3]]


class Board:
    """A client on a ring, on counted flash."""

    def __init__(self, sectors: int) -> None:
        self.nor = Nor(sectors)
        self.minute = 0
        self.message_bytes = 0
        self.reports = 0
        self.start()

    def start(self) -> None:
        config = bench.make_config(interval_s=60, beacon_interval_s=60, channels=CHANNELS, calendar=(1, DAY, 2))
        self.client = bench.make_client(self.nor, config, now_ms=self.minute * 60_000, chance=bench.Chance(1))
        self.hear(self.client.keys_topic, bench.certificates(0))
        self.client.connected(self.minute * 60_000)
        if not self.client.outbox.enrolled:
            self.client.outbox.set_enrolled()

    def hear(self, topic: str, payload: bytes) -> None:
        self.client.received(topic, payload, self.minute * 60_000)

    def report(self, answered: bool) -> None:
        self.minute += 1
        now_ms = self.minute * 60_000
        self.hear(self.client.beacon_topic, bench.beacon(1_000_000 + self.minute))
        values = [random.Random(self.minute).randint(1000, 30_000) for _ in CHANNELS]
        if self.client.sample_due(now_ms):
            self.client.sample(values, now_ms)
            self.reports += 1
        for _, message in self.client.tick(now_ms):
            if message[0] == 0x83:  # a report; proofs are asked for too
                said, identity, _ = bench.read(message)
                self.message_bytes = max(self.message_bytes, len(message))
                if answered:
                    rows = [bench.row(said, identity, 0)]
                    self.hear(self.client.down_topic, bench.sheet(rows, slot=1_000_000 + self.minute))


def measured(sectors: int = 32, days: int = 3) -> dict[str, Any]:
    """Per report: erases, writes and bytes, with receipts and without a link. `sectors` make no difference to them."""
    board = Board(sectors)
    for minute in range(days * DAY):
        if minute % (DAY // 2) == DAY // 4:
            board.start()
        board.report(answered=True)
    online = _of(board, board.reports)
    assert board.client.outbox.dropped == 0
    erases, reports, number = sum(board.nor.erases), board.reports, board.nor.erases[:]
    board.client.disconnected()
    while board.client.outbox.dropped < 5 * 14:
        board.report(answered=False)
    held = board.client.outbox.waiting
    spread = max(number) - min(number)
    return {
        "message_bytes": board.message_bytes,
        "with_receipts": online,
        "offline_erases": (sum(board.nor.erases) - erases) / (board.reports - reports),
        "spread": spread,
        "held_per_sector": held / sectors,
    }


def _of(board: Board, reports: int) -> dict[str, float]:
    nor = board.nor
    return {
        "erases": sum(nor.erases) / reports,
        "writes": nor.writes / reports,
        "bytes": nor.written / reports,
    }


def years(partition_bytes: int, interval_s: int, erases_per_report: float) -> float:
    """How long a ring lasts: every sector is erased equally often."""
    reports = partition_bytes // SECTOR * ENDURANCE / erases_per_report
    return reports * interval_s / (365.25 * 86_400)


def lines(found: dict[str, Any]) -> list[str]:
    online = found["with_receipts"]
    out = [f"The outbox of a board, reports of {found['message_bytes']} bytes      erases   writes    bytes, a report"]
    figures = f"{online['erases']:>7.3f}{online['writes']:>9.2f}{online['bytes']:>9.0f}"
    out.append(f"  with receipts                                   {figures}   target <= 0.1 erases")
    out.append(f"  without a link, the ring full                   {found['offline_erases']:>7.3f}")
    mebibyte = years(1 << 20, 60, online["erases"])
    out.append(
        f"  1 MiB at a report a minute: {mebibyte:.0f} years, room for {found['held_per_sector'] * 256:.0f} reports"
    )
    if "scan_ms" in found:
        memory = f"{found['memory_bytes'] / 1024:.1f} KiB of memory"
        out.append(f"  a start with {found['statements']} waiting, on MicroPython: {found['scan_ms']:.0f} ms, {memory}")
    return out
