"""A small network in memory behind the web's ports, the same for the same seed."""

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import h3.api.basic_int as h3

from coordinator.engine import log, places
from coordinator.engine.timing import Span
from coordinator.engine.views import BatchFileView, BatchModuleView, BatchView
from coordinator.kernel.amounts import share_ppm, split, tokens
from coordinator.kernel.earnings_views import (
    DeviceEarnings,
    EarningsView,
    EstimateView,
    LifetimeView,
    MonthView,
)
from coordinator.kernel.epoch_views import DayView, EpochDetailView, PostedView, ReasonCount
from coordinator.kernel.filters import DeviceFilter, DevicePage, DevicePlace, StatementPlace
from coordinator.kernel.map_views import MapView
from coordinator.kernel.operator_views import (
    AWAY_TOGETHER,
    ENROLLED_TOGETHER,
    AppealView,
    ChangeView,
    ClusterView,
    CorrectionView,
    OwedView,
    QuarantineView,
    SettlementView,
)
from coordinator.kernel.stub_views import ChangeLine, PostingView, ShareLine, StatementView, StubView
from coordinator.kernel.uptime_views import UptimeRow, UptimeView
from coordinator.kernel.views import (
    ArchiveView,
    ConsistencyView,
    DeviceView,
    EpochView,
    Explanation,
    InclusionView,
    NetworkView,
    NoticeView,
    OwnerEpochView,
    OwnerView,
    PayoutView,
    PresenceView,
    ProofView,
    ReadingView,
    Reason,
    TimedReadingView,
)
from coordinator.store.home import Home
from coordinator.store.log_files import LogFiles
from coordinator.store.published import PublishedFiles
from coordinator.web.ports import Submitted

EPOCH_BEACONS = 12
WINDOWS = 12
EMISSION = 1_000_000_000_007
BEACON_TIME = 1_790_000_000


def identity(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()[:16]


@dataclass
class World:
    """Everything a reader can tell. Epochs 0..closed-1 are closed, epoch `closed` runs."""

    network: NetworkView
    devices: dict[bytes, DeviceView]
    payouts: dict[int, list[PayoutView]]
    epochs: list[EpochView]
    readings: dict[bytes, list[ReadingView]]
    presence: dict[bytes, list[PresenceView]]
    explanations: dict[tuple[bytes, int], Explanation] = field(default_factory=dict)
    places: dict[bytes, int] = field(default_factory=dict)

    def owners(self) -> list[OwnerView]:
        accounts = sorted({each.owner for each in self.devices.values()})
        return sorted(map(self.owner, accounts), key=lambda each: (each.paid, each.account), reverse=True)

    def owner(self, account: bytes) -> OwnerView:
        devices = [each for each in self.devices.values() if each.owner == account]
        paid, withheld = sum(each.paid for each in devices), sum(each.withheld for each in devices)
        capped = [e for e, rows in self.payouts.items() if any(r.owner == account and r.owner_cap for r in rows)]
        return OwnerView(account, devices, paid - withheld, paid, withheld, capped, 7, bytes(32))


def world(seed: int = 1, devices: int = 9, closed: int = 5, name: str = "harbour") -> World:
    """A network with one device in quarantine, one that never earned, one private and one capped owner."""
    rng = random.Random(seed)
    ids = sorted(identity(seed, "device", index) for index in range(devices))
    owners = [identity(seed, "owner", index) for index in range(max(1, devices // 3))]
    payouts: dict[int, list[PayoutView]] = {}
    presence: dict[bytes, list[PresenceView]] = {device: [] for device in ids}
    epochs = []
    for number in range(closed + 1):
        first = number * EPOCH_BEACONS
        if number == closed:
            epochs.append(EpochView(number, first, first + EPOCH_BEACONS - 1, False, -1, b"", 0, 0, 0, 0))
            for device in ids:
                presence[device].append(PresenceView(number, rng.randrange(4), WINDOWS))
            continue
        up = [0 if index == 1 else rng.randrange(WINDOWS // 3, WINDOWS + 1) for index in range(devices)]
        for device, windows in zip(ids, up, strict=True):
            presence[device].append(PresenceView(number, windows, WINDOWS))
        rows = []
        pool_presence = split(EMISSION * 6 // 10, [*up, 3])[:-1]
        pool_sensing = split(EMISSION - EMISSION * 6 // 10, [*(rng.randrange(w + 1) for w in up), 5])[:-1]
        for index, device in enumerate(ids):
            owner = owners[index % len(owners)]
            gross = pool_presence[index] + pool_sensing[index]
            cap = share_ppm(gross, 350_000) if owner == owners[0] and number >= 2 else 0
            paid = gross - cap
            withheld = paid // 4 if index == 3 else 0
            ppm = 1_000_000 * up[index] // WINDOWS
            rows.append(
                PayoutView(
                    number, device, owner, pool_presence[index], pool_sensing[index], cap, paid, withheld, 0, ppm, ppm
                )
            )
        payouts[number] = rows
        paid = sum(row.paid for row in rows)
        header = hashlib.sha256(b"header" + bytes([number % 256])).digest()
        count = sum(row.paid > 0 for row in rows)
        last = first + EPOCH_BEACONS - 1
        epochs.append(
            EpochView(number, first, last, True, number * 3 + 2, header, EMISSION, paid, EMISSION - paid, count)
        )
    beacon = closed * EPOCH_BEACONS + 4
    views = {}
    for index, device in enumerate(ids):
        mine = [row for rows in payouts.values() for row in rows if row.device == device]
        standing, reason = ("quarantined", "fork") if index == 2 else ("vetting" if index == 3 else "active", "")
        channels = [("temperature", "°C", -2), ("humidity", "%", -1), ("battery", "mV", 0)][: 1 + index % 3]
        views[device] = DeviceView(
            device,
            owners[index % len(owners)],
            standing,
            reason,
            rng.randrange(4),
            -1 if index == 1 else beacon - rng.randrange(3),
            10,
            index != 4,
            channels,
            0 if index == 1 else rng.randrange(1000, 90000),
            rng.randrange(3),
            sum(row.paid for row in mine),
            sum(row.withheld for row in mine),
            hashlib.sha256(device).digest(),
            [NoticeView(2, "dropped", 1213, 3, 40, 31, "It has dropped 1,213 statements (dropped).")] * (index == 0),
        )
    readings = {device: _readings(rng, view, beacon) for device, view in views.items() if view.readings_public}
    network = NetworkView(
        name,
        hashlib.sha256(name.encode()).digest(),
        beacon,
        BEACON_TIME,
        10,
        EPOCH_BEACONS,
        closed,
        closed * 3 + 1,
        sum(each.statements for each in views.values()),
        len(views),
        sum(each.standing == "quarantined" for each in views.values()),
        len(owners),
        sum(each.paid for each in epochs),
        sum(each.treasury for each in epochs),
        {"bad_signature": 1234, "duplicate": 87, "late": 3, "stale_beacon": 41, "code_93": 2},
    )
    made = World(network, views, payouts, epochs, readings, presence)
    for index, device in enumerate(ids):  # a town, a village, one far away, and one that says nothing
        where = (53.55, 9.99) if index % 9 < 5 else (48.1 + 0.01 * index, 11.5) if index % 9 < 7 else (59.3, 18.1)
        made.places[device] = h3.latlng_to_cell(*where, 7) if index % 9 != 8 else 0
    for index, device in enumerate(ids):
        for number in range(closed + 1):
            row = payouts[number][index] if number < closed else None
            made.explanations[device, number] = _explain(device, number, row, views[device])
    return made


def _readings(rng: random.Random, view: DeviceView, beacon: int) -> list[ReadingView]:
    out, values = [], [2150, 455, 3900][: len(view.channels)]
    for seq, slot in enumerate(range(max(0, beacon - 60), beacon), 1):
        values = [value + rng.randrange(-20, 21) for value in values]
        out += [ReadingView(slot, 1, seq, 500, list(values)), ReadingView(slot, 1, seq, 5500, list(values))]
    return out if view.last_slot >= 0 else []


def _explain(device: bytes, number: int, row: PayoutView | None, view: DeviceView) -> Explanation:
    if row is None:
        return Explanation(device, number, "open", None, f"Epoch {number} is still open.", [])
    reasons = []
    if row.presence_ppm < 1_000_000:
        text = f"It was up in {round(row.presence_ppm * WINDOWS / 1_000_000)} of {WINDOWS} windows."
        reasons.append(Reason("absent", 3, text, "Check its power and its network."))
    if row.owner_cap:
        text = "Its owner earned more than one owner may, so a part was deducted."
        reasons.append(Reason("owner_cap", 1, text, ""))
    if view.standing == "quarantined":
        reasons.append(
            Reason("fork", 1, "Two statements prove a second holder of its key.", "Enrol it with a new key.")
        )
    summary = (
        f"It earned {tokens(row.paid)} tokens in epoch {number}." if row.paid else f"Epoch {number} paid it nothing."
    )
    return Explanation(device, number, "closed", row, summary, reasons, [f"paid = {row.paid} + 0 = {row.paid}."])


KINDS = ("presence", "sensing", "owner_cap", "paid")


class FakeReader:
    """Reader over a World. `fault` makes every read fail, `delay` is awaited before each."""

    def __init__(self, shown: World) -> None:
        self.world = shown
        self.fault: Exception | None = None
        self.delay = None
        self.log = LogFiles(Path("nowhere"))
        self.published = PublishedFiles(Home(Path("nowhere")))

    async def _enter(self) -> None:
        if self.delay is not None:
            await self.delay()
        if self.fault is not None:
            raise self.fault

    async def network(self) -> NetworkView:
        await self._enter()
        return self.world.network

    async def devices(self, after: bytes, limit: int) -> list[DeviceView]:
        await self._enter()
        return [view for device, view in sorted(self.world.devices.items()) if device > after][:limit]

    async def device(self, device: bytes) -> DeviceView | None:
        await self._enter()
        return self.world.devices.get(device)

    async def devices_where(self, chosen: DeviceFilter, after: DevicePlace | None, limit: int) -> DevicePage:
        rows = [
            view
            for device, view in sorted(self.world.devices.items())
            if (after is None or device > after.device)
            and chosen.standing in ("", view.standing)
            and chosen.owner in (b"", view.owner)
            and (not chosen.measures or chosen.measures in [name for name, _, _ in view.channels])
            and (chosen.silent_since is None or view.last_slot < chosen.silent_since)
        ]
        return DevicePage(rows[:limit], DevicePlace(0, rows[limit - 1].device) if len(rows) > limit else None)

    async def measures(self) -> list[str]:
        return sorted({name for view in self.world.devices.values() for name, _, _ in view.channels})

    async def device_payouts(self, device: bytes, limit: int, before: int = 2**63 - 1) -> list[PayoutView]:
        rows = [row for number in sorted(self.world.payouts, reverse=True) for row in self.world.payouts[number]]
        return [row for row in rows if row.device == device and row.epoch < before][:limit]

    async def device_presence(self, device: bytes, limit: int, before: int = 2**63 - 1) -> list[PresenceView]:
        rows = sorted(self.world.presence.get(device, []), reverse=True)
        return [row for row in rows if row.epoch < before][:limit]

    async def readings(self, device: bytes, after_slot: int, limit: int) -> list[ReadingView]:
        return [each for each in self.world.readings.get(device, []) if each.slot > after_slot][:limit]

    async def all_readings(
        self, device: bytes, slots: range, after: tuple[int, int], limit: int
    ) -> list[TimedReadingView]:
        rows = [
            TimedReadingView(*one[:4], one.slot, BEACON_TIME * 1000 + one.dt_ms, one.values, place)
            for place, one in enumerate(self.world.readings.get(device, []))
            if one.slot in slots and (one.slot, place) > after
        ]
        return rows[:limit]

    async def explain(self, device: DeviceView, epoch: int | None) -> Explanation:
        number = self.world.network.epoch if epoch is None else epoch
        if epoch is None and number > 0:
            number -= 1
        return self.world.explanations[device.device, number]

    async def pay_stub(self, device: DeviceView, epoch: int) -> StubView | None:
        explained = self.world.explanations.get((device.device, epoch))
        return made_stub(device, self.world.epochs[epoch], explained) if explained else None

    async def statements(
        self, device: bytes, epoch: int, after: tuple[int, int], limit: int, code: int | None = None
    ) -> list[StatementView]:
        first = epoch * EPOCH_BEACONS
        made = [(1, first + at + 1) for at in range(EPOCH_BEACONS)]
        return [
            StatementView(boot, seq, seq, seq - 1, seq // 4, 0, "ok", "measured", epoch, bytes([seq % 256]) * 32)
            for boot, seq in made
            if (boot, seq) > after and code in (None, 0)
        ][:limit]

    async def postings(
        self, account: bytes, epoch: int | None, before: tuple[int, int] | None, limit: int
    ) -> list[tuple[int, PostingView]]:
        rows = [row for rows in self.world.payouts.values() for row in rows if row.owner == account and row.paid]
        places = [(row.epoch, place, row) for place, row in enumerate(rows, 1) if epoch in (None, row.epoch)]
        chosen = sorted((one for one in places if before is None or one[:2] < before), reverse=True)[:limit]
        return [
            (
                place,
                PostingView(row.epoch * 3 + 2, place, at, "emission", bytes(16), "owner", account, row.paid, "reward"),
            )
            for at, place, row in chosen
        ]

    async def epoch_postings(
        self, epoch: int, owner: bytes, code: int | None, after: tuple[int, int], limit: int
    ) -> list[tuple[tuple[int, int], PostingView]]:
        rows = [
            ((1, place), PostingView(epoch * 3 + 2, place, epoch, "emission", bytes(16), "owner", *made, "reward"))
            for place, row in enumerate(self.world.payouts.get(epoch, []), 1)
            if owner in (b"", row.owner) and (made := (row.owner, row.paid))
        ]
        return [one for one in rows if one[0] > after and code in (None, 1)][:limit]

    async def quarantines(self, device: bytes) -> list[QuarantineView]:
        return [one for one in self._quarantined() if one.device == device]

    async def quarantines_open(self, after: bytes, limit: int) -> list[QuarantineView]:
        return [one for one in self._quarantined() if one.device > after][:limit]

    def _quarantined(self) -> list[QuarantineView]:
        held = sorted(device for device, view in self.world.devices.items() if view.standing == "quarantined")
        return [QuarantineView(device, "cluster", bytes(32), 3, 9, -1, "") for device in held]

    async def appeals(self, device: bytes) -> list[AppealView]:
        return [one for one in await self.appeals_open(b"", 1000) if one.device == device]

    async def appeals_open(self, after: bytes, limit: int) -> list[AppealView]:
        held = [one.device for one in self._quarantined() if one.device > after][:limit]
        return [AppealView(device, self.world.devices[device].owner, bytes(32), 4, -1, "") for device in held]

    async def corrections(self, device: bytes, epoch: int) -> list[CorrectionView]:
        return [one for one in await self.corrections_of(b"", None, 1000) if (one.device, one.epoch) == (device, epoch)]

    async def corrections_of(self, account: bytes, before: int | None, limit: int) -> list[CorrectionView]:
        made = [
            CorrectionView(number, 5, view.owner, device, 1, 1_500_000_000, "outage", bytes(32))
            for number, (device, view) in enumerate(sorted(self.world.devices.items()), 1)
        ]
        chosen = [one for one in made if account in (b"", one.account) and (before is None or one.number < before)]
        return chosen[::-1][:limit]

    async def settlements(self, account: bytes, before: int | None, limit: int) -> list[SettlementView]:
        made = [SettlementView(number, 6, account, number, bytes([number]) * 32, bytes(32)) for number in (1, 2, 3)]
        return [one for one in made if before is None or one.number < before][::-1][:limit]

    async def changes_to_come(self) -> list[ChangeView]:
        return [ChangeView(9, "reward_budget", 2_000_000_000)]

    async def clusters(self) -> list[ClusterView]:
        devices = list(self.world.devices)[:4]
        return [ClusterView(ENROLLED_TOGETHER, 3, 4, devices), ClusterView(AWAY_TOGETHER, 7, 24, devices)]

    async def standings(self) -> dict[str, int]:
        return dict(Counter(one.standing for one in self.world.devices.values()))

    async def owed(self, after: bytes, limit: int) -> list[OwedView]:
        owners = sorted(self.world.owners(), key=lambda one: one.account)
        return [OwedView(one.account, one.balance, 0) for one in owners if one.account > after and one.balance][:limit]

    async def owners(self, limit: int, after: tuple[int, bytes] | None = None) -> list[OwnerView]:
        rows = self.world.owners()
        return [one for one in rows if after is None or (one.paid, one.account) < after][:limit]

    async def owner(self, account: bytes) -> OwnerView | None:
        view = self.world.owner(account)
        return view if view.devices else None

    async def earnings(self, account: bytes) -> EarningsView | None:
        owner = await self.owner(account)
        return made_earnings(self.world, owner) if owner else None

    async def owner_epochs(self, account: bytes, before: int | None, limit: int) -> list[OwnerEpochView]:
        out = []
        for number in sorted(self.world.payouts, reverse=True):
            rows = [row for row in self.world.payouts[number] if row.owner == account]
            if rows and (before is None or number < before):
                out.append(_owner_epoch(number, rows))
        return out[:limit]

    async def epochs(self, before: int | None, limit: int) -> list[EpochView]:
        return [each for each in reversed(self.world.epochs) if before is None or each.number < before][:limit]

    async def epoch(self, number: int) -> EpochView | None:
        return self.world.epochs[number] if number < len(self.world.epochs) else None

    async def epoch_detail(self, number: int) -> EpochDetailView | None:
        view = await self.epoch(number)
        if view is None:
            return None
        state = "closed" if view.closed else "open"
        reasons = [ReasonCount("absent", 3), ReasonCount("owner_cap", 1)] if view.closed else []
        posted = [PostedView("reward", view.devices, view.paid)] if view.closed else []
        return EpochDetailView(view, state, 0, reasons, posted, [("reward_budget", view.emission)])

    async def device_ids(self, first: bytes, last: bytes, limit: int) -> list[bytes]:
        return sorted(one for one in self.world.devices if first <= one <= last)[:limit]

    async def owner_ids(self, first: bytes, last: bytes, limit: int) -> list[bytes]:
        return sorted(one.account for one in self.world.owners() if first <= one.account <= last)[:limit]

    async def header_batch(self, header: bytes) -> int | None:
        return next((one.batch for one in self.world.epochs if one.header == header), None)

    async def statement_place(self, statement: bytes) -> StatementPlace | None:
        return None

    async def batch(self, number: int) -> BatchView | None:
        return made_batch(number) if number < self.world.network.batches else None

    async def log_checkpoint(self) -> bytes | None:
        await self._enter()
        return self.log.checkpoint()

    async def map(self, within: int, devices_min: int) -> MapView:
        rows = [(place, 1, self.world.devices[device].last_slot >= 0) for device, place in self.world.places.items()]
        return places.drawn(places.groups(places.counted(rows), devices_min), within)

    async def devices_at(self, cell: int, devices_min: int, after: bytes, limit: int) -> list[DeviceView]:
        groups = places.groups(places.counted((place, 1, 0) for place in self.world.places.values()), devices_min)
        found = sorted((place, device) for device, place in self.world.places.items())
        inside = [device for place, device in found if places.is_inside(places.group_of(place, groups), cell)]
        start = inside.index(after) + 1 if after in inside else 0
        return [self.world.devices[device] for device in inside[start : start + limit]]

    async def uptime(
        self, after: bytes, before: int | None, epochs: int, limit: int, missed: bool
    ) -> UptimeView | None:
        closed = [each.number for each in self.world.epochs if each.closed and (before is None or each.number < before)]
        if not closed:
            return None
        first, last = max(0, closed[-1] - epochs + 1), closed[-1]
        rows = []
        for device in sorted(self.world.devices):
            told = {one.epoch: one[1:] for one in self.world.presence.get(device, [])}
            up = [told.get(epoch, (0, 0)) for epoch in range(first, last + 1)]
            if device > after and not (missed and up[-1][0] >= up[-1][1]):
                rows.append(UptimeRow(device, up))
        return UptimeView(first, last, rows[:limit], rows[limit - 1].device if len(rows) > limit else b"")

    async def days(self, before: int | None, limit: int) -> list[DayView]:
        """A day an epoch."""
        out = []
        for number in sorted(self.world.payouts, reverse=True):
            sums = [sum(getattr(row, name) for row in self.world.payouts[number]) for name in KINDS]
            if before is None or number < before:
                out.append(DayView(1_789_948_800 + 86_400 * number, number, number, *sums))
        return out[:limit]

    async def archive_index(self) -> ArchiveView:
        await self._enter()
        return self.published.index()

    async def archive_batch(self, number: int) -> list[str]:
        return self.published.batch(number)

    async def archive_file(self, name: str) -> Path | None:
        return self.published.file(name)

    async def log_tile(self, tile: log.Tile) -> bytes | None:
        return self.log.tile(tile)

    async def log_size(self) -> int:
        return self.log.size()

    async def log_inclusion(self, batch: int, size: int) -> InclusionView:
        hashes = self.log.hashes()
        proof = log.inclusion(batch, size, hashes)
        return InclusionView(batch, size, hashes(0, batch), log.root(size, hashes), proof)

    async def log_consistency(self, first: int, second: int) -> ConsistencyView:
        hashes = self.log.hashes()
        roots = log.root(first, hashes), log.root(second, hashes)
        return ConsistencyView(first, second, *roots, log.consistency(first, second, hashes))

    async def payout_proof(self, device: bytes, epoch: int, size: int | None) -> ProofView | None:
        return None

    async def payouts(self, epoch: int, after: bytes, limit: int, owner: bytes = b"") -> list[PayoutView]:
        rows = self.world.payouts.get(epoch, [])
        return [row for row in rows if row.device > after and owner in (b"", row.owner)][:limit]


def made_stub(view: DeviceView, epoch: EpochView, explained: Explanation) -> StubView:
    row = explained.payout
    shares = []
    changes = []
    if row is not None:
        for code, amount, ppm in (
            ("presence", row.presence, row.presence_ppm),
            ("sensing", row.sensing, row.sensing_ppm),
        ):
            windows = ppm * WINDOWS // 1_000_000
            shares.append(ShareLine(code, windows, WINDOWS, 0, 500_000, ppm, 0, 9_000_000, EMISSION // 2, amount, code))
        found = [("owner_cap", -row.owner_cap), ("vetting", -row.withheld), ("released", row.released)]
        changes = [ChangeLine(code, amount, code) for code, amount in found if amount]
    paid = row.paid if row else 0
    credited = row.paid - row.withheld + row.released if row else 0
    state = "closed" if epoch.closed else "open"
    where = epoch.first_slot, epoch.last_slot, epoch.batch, epoch.header, epoch.emission, EPOCH_BEACONS
    lines = row, shares, changes, paid, credited, [], explained
    return StubView(view.device, view.owner, epoch.number, state, *where, *lines)


def made_earnings(shown: World, owner: OwnerView) -> EarningsView:
    mine = [row for rows in shown.payouts.values() for row in rows if row.owner == owner.account]
    total = {name: sum(getattr(row, name) for row in mine) for name in LifetimeView._fields[:-1]}
    lifetime = LifetimeView(**total, credited=total["paid"] - total["withheld"] + total["released"])
    epoch, open_epoch = shown.network.epoch - 1, shown.epochs[-1]
    rows = {row.device: row for row in shown.payouts[epoch]}
    why = Reason("absent", 12, "It proved its presence in none of 12 windows (absent).", "Check power & network.")
    devices = [
        DeviceEarnings(
            each,
            each.last_slot < 0,
            shown.network.beacon,
            rows[each.device],
            rows[each.device].paid,
            7,
            why if rows[each.device].paid == 0 else None,
        )
        for each in owner.devices
    ]
    devices.sort(key=lambda one: (not one.silent, one.why is None))
    where = open_epoch.number, open_epoch.first_slot, open_epoch.last_slot, open_epoch.first_slot + 3, epoch
    estimate = EstimateView(*where, so_far=3_000_000_007, whole=10**12, presence=1, sensing=2, owner_cap=0, withheld=0)
    moved = owner.balance - lifetime.credited
    month, silent = MonthView(10**13, 0, epoch), sum(one.silent for one in devices)
    unpaid = sum(one.why is not None for one in devices)
    return EarningsView(owner, lifetime, 0, moved, epoch, [estimate], month, devices, silent, unpaid)


def made_batch(number: int) -> BatchView:
    """Two lanes on two workers, as a real one has; every third has no timings, batch 0 holds nothing."""
    rng = random.Random(number)
    spans, at = [Span(-1, "", "read the intake", -1, 40, 2_000, "1/1")], 2_100
    modules = []
    for wave, names in enumerate((("identity",), ("presence", "sensing"), ("rewards",), ("ledger",))):
        for name in names:
            took = [rng.randrange(1, 9_000) for _ in range(4)]
            for lane in range(4):
                start = at + (took[lane - 2] if lane > 1 else 0)
                spans.append(Span(wave, name, "lane", lane, start, took[lane], f"1/{2 + lane % 2}"))
            at += max(took[0] + took[2], took[1] + took[3]) + 50
            spans.append(Span(wave, name, "finish", -1, at, 700, "1/1"))
            at += 800
            reads = ["identity"] if wave else []
            modules.append(
                BatchModuleView(name, wave, reads, ["devices", "tokens"], bool(number), {"rows": number * 7})
            )
    spans.append(Span(-1, "", "write the folder", -1, at, 3_000, "1/1"))
    files = [BatchFileView("statements.bin", 170 * number, number), BatchFileView("owner.bin", 80, -1)]
    header = hashlib.sha256(b"header" + bytes([number % 256])).digest()
    closed = [number // 3] if number % 3 == 2 else []
    known = None if number % 3 == 1 else spans
    return BatchView(number, header, number, number, closed, 1, number, files if number else [], modules, known)


def _owner_epoch(number: int, rows: list[PayoutView]) -> OwnerEpochView:
    total = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("paid", "presence", "sensing", "owner_cap", "withheld", "released")
    }
    return OwnerEpochView(number, **total, devices=len(rows))


class FakeSubmit:
    """An intake that answers what it is told to and keeps what it was given."""

    def __init__(self) -> None:
        self.answer = Submitted("ok", 0, True, bytes(32), 7, b"sheet")
        self.messages: list[bytes] = []

    async def __call__(self, message: bytes) -> Submitted:
        self.messages.append(message)
        return self.answer


class FakeHealth:
    """All is well."""

    async def samples(self) -> list[tuple[str, tuple[str, ...], float]]:
        return [
            ("edgetally_statements_total", (), 410_832),
            ("edgetally_refusals_total", ("late",), 12),
            ("edgetally_refusals_total", ("duplicate",), 3),
            ("edgetally_queue_messages", (), 4),
            ("edgetally_queue_max_messages", (), 10_000),
            ("edgetally_batch_number", (), 42),
            ("edgetally_sealed_slot_number", (), 171),
            ("edgetally_disk_free_bytes", (), 41e9),
            ("edgetally_disk_size_bytes", (), 64e9),
            ("edgetally_store_batch_number", ("ledger",), 42),
        ]

    async def not_ready(self) -> dict[str, str]:
        return {}


class FakeNotices:
    """Takes no link for its own."""

    def secret(self, contact: int) -> str:
        return f"secret of {contact}"

    async def stop(self, contact: int, code: str) -> bool:
        return False
