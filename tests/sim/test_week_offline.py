"""A week without the network at one report a minute, with an outbox too small for it.

The oldest is dropped first and the device says how much; the chain goes on over one gap; what is left counts as late,
for sensing and not for presence; and while it catches up, the others wait no longer than its quota allows.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from coordinator.engine.explain_notices import Told, reasons
from coordinator.kernel.chains import Chain
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.tables import Row
from coordinator.modules import DECLARED
from device_client.core import client, cose, notices, received, verdicts
from device_client.core.outbox import Outbox
from device_client.core.ring import Ring
from tests.core.nor import Nor

from .device import SimDevice
from .network import QUOTA, Network
from .properties import check
from .test_partition import Islander

MINUTE_MS = 60_000
WEEK = 7 * 24 * 60  # beacons
EPOCH = 120  # and a batch
# For the rest the defaults; late is worth something for a week and what it takes to catch up.
LATE_BEACONS_MAX = Parameters(DECLARED, {}).calendar.late_beacons_max
PARAMETERS = {
    "beacon_interval_s": 60,
    "batch_beacons": EPOCH,
    "epoch_beacons": EPOCH,
    "late_beacons_max": LATE_BEACONS_MAX,
}
COARSE_MS, FINE_MS = 30_000, 500
OFFLINE_MS = MINUTE_MS * 3 // 2  # without beacons a report comes every one and a half intervals
TAKEN_MAX = 24  # messages in half a second are all that this coordinator gets through
SECTORS = 240  # about four thousand reports in a board's ring
RECORDS_MAX = 600
SEEDS = range(4) if os.environ.get("EDGETALLY_SOAK") else range(1)


class Holdout(Islander):
    """An islander with the patience of a real client; a board with its ring of flash, or a computer with a log."""

    retry_ms = 5_000
    deaf = False

    records_max = RECORDS_MAX

    def __init__(self, network: Network, name: str, token: Any, sectors: int) -> None:
        self.flash = Nor(sectors) if sectors else None
        super().__init__(network, name, token, interval_s=60)

    def outbox(self) -> Outbox | Ring:
        return Ring(self.flash) if self.flash else super().outbox()

    def take_sheet(self, data: bytes) -> None:
        if not self.deaf:
            super().take_sheet(data)


class Mainlander(SimDevice):
    """Notes how long each of its reports waits for its receipt."""

    def __init__(self, network: Network, name: str, token: Any) -> None:
        self._since: dict[int, int] = {}
        self.waits_ms: list[int] = []
        super().__init__(network, name, token, interval_s=60)

    def tick(self) -> list[bytes]:
        found = super().tick()
        for pending in self.client.outbox.pending:
            if pending.attempts:
                self._since.setdefault(pending.seq, self.network.now_ms)
        return found

    def take_sheet(self, data: bytes) -> None:
        super().take_sheet(data)
        waiting = {pending.seq for pending in self.client.outbox.pending}
        for seq in self._since.keys() - waiting:
            self.waits_ms.append(self.network.now_ms - self._since.pop(seq))


class Home(NamedTuple):
    """What an islander brought home after its week."""

    made: int  # reports
    waiting: int  # of them and the enrolment
    first: int  # the oldest seq of those
    last: int
    dropped: int
    receipted: int
    newest: bytes  # message


class Week(NamedTuple):
    network: Network
    islanders: list[Holdout]
    brought: list[Home]
    before_ms: list[int]  # how long the mainland's reports waited for receipts, before
    during_ms: list[int]  # and while the islanders caught up
    back: int  # the slot in which those came
    minutes: int  # until all of them had caught up
    offline_ms: int
    at_home_ms: int


@pytest.fixture(scope="module", params=SEEDS)
def week(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Week:
    folder = tmp_path_factory.mktemp("week")
    with pytest.MonkeyPatch.context() as patch:
        # Ten thousand beacons are as many waits for the disk. Nobody cuts the coordinator's power here.
        patch.setattr(os, "fsync", lambda _descriptor: None)
        return lived(folder, request.param)


def lived(folder: Path, seed: int) -> Week:
    network = Network(folder, seed, parameters=PARAMETERS, tick_ms=FINE_MS, taken_max=TAKEN_MAX)
    token = network.token("owner")
    islanders = [Holdout(network, "board", token, SECTORS), Holdout(network, "computer", token, 0)]
    mainland = [Mainlander(network, f"mainlander {at}", token) for at in range(2)]
    network.devices += [*islanders, *mainland]
    network.run(EPOCH // 4)
    before_ms = [wait for device in mainland for wait in device.waits_ms]
    for device in islanders:
        device.cut_off()
    # The mainland is switched off meanwhile: nothing of the week matters but the number of its beacons.
    network.devices, network.tick_ms = list(islanders), COARSE_MS
    network.run(WEEK)
    brought, at_home_ms = [home(device) for device in islanders], network.now_ms
    network.devices += mainland
    network.run(2)
    network.tick_ms = FINE_MS
    for one in mainland:
        one.waits_ms.clear()
    back = network.node.intake.slot
    for device in islanders:
        device.reconnect()
    minutes = 0
    while any(device.client.outbox.waiting > 4 for device in islanders) and minutes < EPOCH:
        # Now and then the link breaks before the receipts come.
        for device in islanders:
            device.deaf = minutes % 5 == 3
        network.run(1)
        minutes += 1
        for device in islanders:
            if device.deaf:
                device.deaf = False
                device.client.connected(network.now_ms)
    during_ms = [wait for device in mainland for wait in device.waits_ms]
    network.tick_ms = COARSE_MS
    network.run(2 * EPOCH)
    network.settle()
    offline_ms = at_home_ms - islanders[0].cut_off_ms
    return Week(network, islanders, brought, before_ms, during_ms, back, minutes, offline_ms, at_home_ms)


def home(device: Holdout) -> Home:
    outbox = device.client.outbox
    first, last = outbox.pending[0], outbox.pending[-1]
    made = device.client.counters["reports"]
    counts = outbox.waiting, first.seq, last.seq, outbox.dropped, outbox.settled[verdicts.OK]
    return Home(made, *counts, outbox.message(last))


def rows(week: Week, device: SimDevice, module: str, table: str) -> list[Row]:
    at = 0 if table in ("verdicts", "told") else 1
    return [row for row in week.network.records(module, table) if row[at] == device.id]


def test_all_of_it_verifies(week: Week) -> None:
    check(week.network)


def test_the_oldest_is_dropped_first(week: Week) -> None:
    for device, brought in zip(week.islanders, week.brought, strict=True):
        assert brought.made > week.offline_ms // OFFLINE_MS
        assert brought.last - brought.first + 1 == brought.waiting, "not the newest"
        assert brought.waiting + brought.dropped + brought.receipted == brought.made + 1, "the enrolment is one more"
        assert brought.waiting == RECORDS_MAX if not device.flash else 15 * SECTORS < brought.waiting < 18 * SECTORS


def test_a_week_of_milliseconds_is_counted(week: Week) -> None:
    assert week.offline_ms > 2**29, "half of a 30-bit counter"
    for brought in week.brought:
        envelope, _, readings = received.message(brought.newest)
        ((dt_ms, _),) = received.readings(readings, 1)
        assert week.offline_ms - OFFLINE_MS - MINUTE_MS <= dt_ms <= week.offline_ms + MINUTE_MS
        uptime_s = received.statement(cose.unwrap(envelope).payload).uptime_s
        assert week.at_home_ms - OFFLINE_MS <= uptime_s * 1000 + 1000 and uptime_s * 1000 <= week.at_home_ms


def test_what_was_dropped_is_told_and_explained(week: Week) -> None:
    calendar = week.network.genesis.parameters.calendar
    for device in week.islanders:
        found = [row for row in rows(week, device, "notices", "told") if row[1] == notices.DROPPED]
        dropped = device.client.outbox.dropped
        assert dropped > 0 and found[-1][2] == dropped, "the newest word is the whole truth"
        assert all(int(row[5]) >= week.back for row in found), "not before the link was back"
        epoch = calendar.epoch_of(int(found[-1][6]))
        told = Told(notices.DROPPED, dropped, epoch, 0, len(found))
        (reason,) = reasons([told], ["temperature"])
        assert reason.text == f"It dropped {dropped:,} statements for want of room while offline (dropped)."


def test_the_chain_goes_on_over_one_gap(week: Week) -> None:
    for device in week.islanders:
        held = week.network.node.state["identity"]["chains"]
        ((key, row),) = [(key, row) for key, row in held.items() if key[0] == device.id]
        chain = Chain.unpack(*row)  # type: ignore[arg-type]
        assert key[1] == 1 and chain.missing == device.client.outbox.dropped
        assert chain.lost == 0 and len(chain.gaps) == 1, chain.gaps
    reasons_counted = week.network.node.counts.reasons
    for code in (verdicts.OUT_OF_WINDOW, verdicts.STALE_BEACON, verdicts.FORK, verdicts.QUARANTINED):
        assert not reasons_counted[code], verdicts.name(code)
    assert reasons_counted[verdicts.DUPLICATE] > QUOTA, "nothing was repeated"
    assert not week.network.records("identity", "quarantines")


def test_what_came_late_counts_for_sensing_and_not_for_presence(week: Week) -> None:
    calendar = week.network.genesis.parameters.calendar
    for device, brought in zip(week.islanders, week.brought, strict=True):
        given = rows(week, device, "identity", "verdicts")
        late = [row for row in given if row[6] == verdicts.LATE]
        # While it catches up each new report wants room: some of what was brought is dropped yet.
        brought_in = brought.waiting - (device.client.outbox.dropped - brought.dropped)
        assert brought_in - 2 <= len(late) <= brought_in + 2
        assert len(late) > brought.waiting * 9 // 10
        assert Counter(row[6] for row in given).keys() == {verdicts.OK, verdicts.LATE}
        sensed = {int(row[0]): row for row in rows(week, device, "sensing", "sensing")}
        assert sum(int(row[4]) for row in sensed.values()) == len(late), "each once, in the epoch in which it came"
        present = {int(row[0]): int(row[2]) for row in rows(week, device, "presence", "presence")}
        away = range(calendar.epoch_of(EPOCH // 4) + 1, calendar.epoch_of(week.back))
        assert not any(present.get(epoch) for epoch in away)
        first = calendar.epoch_of(week.back)
        assert present[first] <= calendar.last_slot(first) - week.back + 2, "late reports marked windows"
        assert present[first] >= calendar.last_slot(first) - week.back - 2, "the backlog was in the way of live reports"
        assert present[first + 1] == EPOCH


def test_catching_up_starves_nobody(week: Week) -> None:
    """The mainland waits behind what the islanders may have under way at once, and no longer."""
    in_flight = len(week.islanders) * client.IN_FLIGHT_MAX
    assert max(week.before_ms) <= 2 * FINE_MS
    assert max(week.during_ms) <= (2 + -(-in_flight // TAKEN_MAX)) * FINE_MS, sorted(week.during_ms)[-10:]
    assert len(week.during_ms) >= 2 * (week.minutes - 1), "every minute a receipt"
    most = max(brought.waiting for brought in week.brought)
    assert week.minutes <= 2 * -(-most // QUOTA) + 2, "the quota of a slot is not used"
