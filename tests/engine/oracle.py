"""What a batch must give, said as plainly as possible: one statement after the other, sets and sums.

It shares the chain rule (tested against its own oracle) and the lists of codes with the modules, nothing else: no
column, no lane, no delta. State is everything that was ever said.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from itertools import pairwise

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.chains import ID8, Chain, Place
from coordinator.kernel.module import Frame, OwnerRow
from coordinator.kernel.reasons import APPEAL_REJECTED
from coordinator.kernel.statements import StatementRow
from coordinator.modules.sensing import CONSTANT, MEASURED
from device_client.core import verdicts
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

MILLION = 1_000_000


FORK = "fork"


class Oracle:
    """Devices that enrol with one token of `places`, of one owner; everybody declares `interval_s`. The operator's
    messages come in the order of their nonces, the owner's behind them."""

    def __init__(self, places: int, interval_s: int) -> None:
        self.places = places
        self.interval_s = interval_s
        self.chains: dict[bytes, dict[int, Chain]] = defaultdict(dict)
        self.enrolled: set[bytes] = set()
        self.jailed: dict[bytes, object] = {}  # until the end of an epoch, or for a fork
        self.unpaid: set[tuple[bytes, int]] = set()  # (device, epoch) up to which it earns nothing
        self.appeals: set[bytes] = set()
        self.references: set[bytes] = set()
        self.treasury, self.owned, self.settled = 0, 0, 0
        self.present: dict[tuple[bytes, int], set[int]] = defaultdict(set)
        self.measured: dict[tuple[bytes, int], set[int]] = defaultdict(set)
        self.late: Counter[tuple[bytes, int]] = Counter()
        self.stuck: set[tuple[bytes, int]] = set()
        self.notices: dict[tuple[bytes, int], tuple[int, int, int, int]] = {}
        self.told: list[tuple[bytes, int, int, int, int, int, int]] = []

    def batch(self, frame: Frame, rows: Sequence[StatementRow]) -> list[int]:
        """The verdict codes of a batch's statements, which come in canonical order."""
        codes = []
        self.told = []
        for device in sorted({row.device for row in rows}):
            codes += self._device(frame, [row for row in rows if row.device == device])
        for row, code in zip(rows, codes, strict=True):
            if row.kind == KIND_REPORT and code in (verdicts.OK, verdicts.LATE):
                self._count(frame, row, code)
                for notice, value in row.body[2] if len(row.body) > 2 else ():
                    self._tell(row, notice, value)
        return codes

    def say(self, frame: Frame, message: OwnerRow) -> int:
        """The verdict on one message of the operator or the owner; money before all that is of devices."""
        calendar, body = frame.parameters.calendar, message.body
        if message.kind == kinds.CORRECT:
            if (body[2] + 1) * calendar.epoch_beacons + calendar.deadline_beacons > frame.last_slot + 1:
                return verdicts.BAD_EPOCH
            if body[1] not in self.enrolled:
                return verdicts.UNKNOWN_DEVICE
            if body[3] > self.treasury:
                return verdicts.INSUFFICIENT_BALANCE
            self.treasury, self.owned = self.treasury - body[3], self.owned + body[3]
            return verdicts.OK
        if message.kind == kinds.SETTLE:
            if body[2] in self.references:
                return verdicts.DUPLICATE
            if body[1] > self.owned:
                return verdicts.INSUFFICIENT_BALANCE
            self.references.add(body[2])
            self.owned, self.settled = self.owned - body[1], self.settled + body[1]
            return verdicts.OK
        device = body[0]
        if device not in self.enrolled:
            return verdicts.UNKNOWN_DEVICE
        if message.kind == kinds.QUARANTINE:
            if device in self.jailed:
                return verdicts.QUARANTINED
            first = (frame.last_slot + 1) // calendar.epoch_beacons
            if body[3] not in range(first, first + frame.parameters.integer("quarantine_epochs_max")):
                return verdicts.BAD_EPOCH
            self.jailed[device] = body[3]
            self.unpaid.add((device, body[3]))
            return verdicts.OK
        if message.kind == kinds.APPEAL:
            if device in self.appeals:
                return verdicts.DUPLICATE
            self.appeals.add(device)
            return verdicts.OK
        return self._lift(device, body[1])

    def _lift(self, device: bytes, reason: int) -> int:
        if device not in self.appeals and (device not in self.jailed or reason == APPEAL_REJECTED):
            return verdicts.NOTHING_OPEN
        if reason != APPEAL_REJECTED and device in self.jailed:
            if self.jailed[device] == FORK:
                return verdicts.FORK
            self.unpaid.discard((device, self.jailed.pop(device)))  # type: ignore[arg-type]
        self.appeals.discard(device)
        return verdicts.OK

    def end(self, frame: Frame) -> None:
        """The batch is over: let go whose last epoch is."""
        over = (frame.last_slot + 1) // frame.parameters.calendar.epoch_beacons
        self.jailed = {device: until for device, until in self.jailed.items() if until == FORK or until >= over}  # type: ignore[operator]

    def _tell(self, row: StatementRow, notice: int, value: int) -> None:
        before, boot, seq, since = self.notices.get((row.device, notice), (-1, 0, 0, 0))
        if (row.boot, row.seq) > (boot, seq):
            since = row.slot if value != before else since
            self.notices[(row.device, notice)] = (value, row.boot, row.seq, since)
            if (value, row.boot) != (before, boot):
                self.told.append((row.device, notice, value, row.boot, row.seq, row.slot, since))

    def _device(self, frame: Frame, rows: list[StatementRow]) -> list[int]:
        device, calendar = rows[0].device, frame.parameters.calendar
        chains, enrols = self.chains[device], False
        firsts = {boot: chain.first_slot for boot, chain in chains.items()}
        for row in rows:
            firsts[row.boot] = min(row.slot, firsts.get(row.boot, row.slot))
        codes = []
        for row in rows:
            if device not in self.enrolled and not enrols and row.kind != KIND_ENROLL:
                codes.append(verdicts.NOT_ENROLLED)
                continue
            chain = chains.setdefault(row.boot, Chain(firsts[row.boot]))
            place = chain.add(row.seq, row.id[:ID8], row.prev[:ID8])
            age = row.slot - row.quoted
            if place is Place.FORK or any(boot > row.boot and slot < row.quoted for boot, slot in firsts.items()):
                code = verdicts.FORK
            elif place is Place.SEEN:
                code = verdicts.DUPLICATE
            elif place is Place.OUT_OF_WINDOW:
                code = verdicts.OUT_OF_WINDOW
            elif age > calendar.late_beacons_max:
                code = verdicts.STALE_BEACON
            else:
                code = verdicts.LATE if age > calendar.deadline_beacons else verdicts.OK
            if row.kind == KIND_ENROLL and code in (verdicts.OK, verdicts.LATE):
                if device in self.enrolled or enrols:
                    code = verdicts.ALREADY_ENROLLED
                enrols = True
            codes.append(code)
        if enrols and device not in self.enrolled:
            if len(self.enrolled) >= self.places:
                del self.chains[device]
                first = next(at for at, row in enumerate(rows) if row.kind == KIND_ENROLL and codes[at] in _COUNTS)
                return [verdicts.TOKEN_EXHAUSTED if at == first else verdicts.NOT_ENROLLED for at in range(len(rows))]
            self.enrolled.add(device)
        if device not in self.enrolled:
            del self.chains[device]
            return [verdicts.NOT_ENROLLED] * len(rows)
        if verdicts.FORK in codes:
            self.jailed[device] = FORK
        return [verdicts.QUARANTINED if device in self.jailed and code in _COUNTS else code for code in codes]

    def _count(self, frame: Frame, row: StatementRow, code: int) -> None:
        calendar = frame.parameters.calendar
        epoch_of = calendar.epoch_of(row.quoted if code == verdicts.OK else row.slot)
        if row.measured == CONSTANT:
            self.stuck.add((row.device, epoch_of))
        self.measured[(row.device, epoch_of)] |= set()
        if row.measured == MEASURED and code == verdicts.LATE:
            self.late[(row.device, epoch_of)] += 1
        if code == verdicts.LATE:
            return
        if row.measured == MEASURED:
            self.measured[(row.device, epoch_of)].add(calendar.window_of(row.quoted, self.interval_s))
        for slot in (row.quoted, row.quoted + 1) if row.slot > row.quoted else (row.quoted,):
            epoch = calendar.epoch_of(slot)
            self.present[(row.device, epoch)].add(calendar.window_of(slot, self.interval_s))

    def weights(self, frame: Frame, epoch: int) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """Presence and sensing of each device in a closed epoch, in millionths."""
        total = frame.parameters.calendar.windows(self.interval_s)
        late_ppm = frame.parameters.integer("sensing_late_ppm")
        presence = {
            device: MILLION * len(found) // total for (device, at), found in self.present.items() if at == epoch
        }
        sensing = {}
        for (device, at), windows in self.measured.items():
            if at == epoch:
                worth = Fraction(len(windows) * MILLION + self.late[(device, at)] * late_ppm, total)
                sensing[device] = 0 if (device, at) in self.stuck else int(min(worth, Fraction(MILLION)))
        return presence, sensing

    def payouts(self, frame: Frame, epoch: int) -> dict[bytes, tuple[int, int]]:
        """(presence, sensing) paid to each device, before the owner's cap."""
        budget = frame.parameters.integer("reward_budget")
        pool = budget * frame.parameters.integer("reward_presence_ppm") // MILLION
        presence, sensing = self.weights(frame, epoch)
        devices = sorted(presence.keys() | sensing.keys())
        out = {device for device, last in self.unpaid if last >= epoch} | self.jailed.keys()
        parts = [self._split(pool, presence, devices, out), self._split(budget - pool, sensing, devices, out)]
        return {device: (parts[0][at], parts[1][at]) for at, device in enumerate(devices)}

    def pay(self, frame: Frame, paid: int) -> None:
        """Of the budget of an epoch to the owner, the rest to the treasury."""
        self.owned += paid
        self.treasury += frame.parameters.integer("reward_budget") - paid

    def _split(self, pool: int, weights: dict[bytes, int], devices: list[bytes], out: AbstractSet[bytes]) -> list[int]:
        each = [0 if device in out else weights.get(device, 0) for device in devices]
        total = sum(each)
        sums = [sum(each[:at]) for at in range(len(each) + 1)]
        return [pool * after // total - pool * before // total if total else 0 for before, after in pairwise(sums)]


_COUNTS = (verdicts.OK, verdicts.LATE)
