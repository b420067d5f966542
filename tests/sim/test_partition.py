"""A week without the network: devices measure on, and what they kept is receipted and counted once, as late."""

from pathlib import Path
from random import Random

import pytest

from device_client.core import verdicts

from .device import SimDevice
from .network import Network
from .properties import check
from .wire import Faults

HOUR_S = 3600
WEEK = 7 * 24
PARAMETERS = {"beacon_interval_s": HOUR_S, "epoch_beacons": 24, "late_beacons_max": 200, "deadline_beacons": 2}


class Islander(SimDevice):
    """While `cut`, nothing comes in or goes out, and now and then the power fails."""

    cut = False

    def tick(self) -> list[bytes]:
        if not self.cut:
            return super().tick()
        self.client.disconnected()
        assert super().tick() == []
        return []

    def hear(self, beacon: bytes) -> None:
        if not self.cut:
            super().hear(beacon)

    def take_sheet(self, data: bytes) -> None:
        assert not self.cut or self.network.now_ms < self.cut_off_ms + 2 * HOUR_S * 1000
        if not self.cut:
            super().take_sheet(data)

    def cut_off(self) -> None:
        self.cut, self.cut_off_ms = True, self.network.now_ms

    def reconnect(self) -> None:
        self.cut = False
        self.client.connected(self.network.now_ms)


@pytest.mark.parametrize(("delay_ms", "percent"), [(0, 90), (600_000, 50)], ids=["in order", "out of order"])
def test_a_week_of_partition(tmp_path: Path, delay_ms: int, percent: int) -> None:
    """A link that reorders costs statements that have no receipt yet: at most eight gaps of a boot stay open."""
    weather = Faults(loss=0.05, duplicate=0.1, delay_ms_max=delay_ms, crash=0.002)
    network = Network(tmp_path, 7, weather, PARAMETERS, tick_ms=HOUR_S * 1000 // 4)
    token = network.token("owner")
    islanders = [Islander(network, f"islander {index}", token, interval_s=HOUR_S) for index in range(3)]
    for device in (*islanders, SimDevice(network, "mainlander", token, interval_s=HOUR_S)):
        network.add(device)
    network.run(30)
    for device in islanders:
        device.cut_off()
    network.run(WEEK)
    waiting = [len(device.client.outbox.pending) for device in islanders]
    assert min(waiting) > WEEK // 2, waiting
    for device in islanders:
        device.reconnect()
    network.run(24)
    network.settle()
    report = check(network)
    codes = [row[6] for row in network.records("identity", "verdicts") if row[0] in {one.id for one in islanders}]
    assert codes.count(verdicts.LATE) >= sum(waiting) * percent // 100
    assert report.statements > 4 * 30 + sum(waiting) * percent // 100


def test_a_clock_that_jumps_ten_years_to_and_fro(tmp_path: Path) -> None:
    """Devices have no clock, and the coordinator's stands in beacons and nowhere else: nobody is paid less for it."""
    headers, luck = [], Random(1)
    for jumps in (False, True):
        folder = tmp_path / str(jumps)
        folder.mkdir()
        network = Network(folder, 8)
        if jumps:
            network.clock_s = lambda network=network: (  # type: ignore[misc]
                1_700_000_000 + network.now_ms // 1000 + luck.choice((-315_360_000, 0, 315_360_000))
            )
        token = network.token("owner")
        for index in range(3):
            network.add(SimDevice(network, str(index), token))
        network.run(30)
        network.settle()
        check(network)
        payouts = network.records("rewards", "payouts")
        headers.append([row[3:] for row in payouts])
    assert headers[0] == headers[1] and headers[0]
