"""The intake: what a message must be to become durable, and what its sender is told.

    screen   decode, find the key; what fails here gets no row, because anyone could have sent it
    verify   Ed25519, on any thread
    commit   place each statement in its chain, append the group to the log, one fsync; then the rows may be sent

The chains held here are the early guard against repeats; execution refuses repeats again, from its own state.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from coordinator import crash
from coordinator.engine import wire
from coordinator.engine.beacons import BeaconChain
from coordinator.engine.inputs import REFUSALS, Held
from coordinator.engine.wire import Refused
from coordinator.kernel.chains import ID8, Chain, Place
from coordinator.kernel.epochs import Calendar
from coordinator.kernel.tables import Row, TableState
from coordinator.modules.identity import BOOTS_MAX
from device_client.core import cose, statement, verdicts
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

from .log import REFUSAL, STATEMENT, IntakeLog, Record
from .receipts import ReceiptRow
from .registry import Registry, WaitingToken

ChainKey = tuple[bytes, int]
DURABLE = frozenset((verdicts.OK, verdicts.FORK))


class Candidate(NamedTuple):
    """A message that is well formed; whether its signature holds under `key` is not known yet."""

    message: bytes
    held: Held
    signed: wire.Signed
    claims: wire.Claims
    key: bytes
    topic_device: bytes | None


class Outcome(NamedTuple):
    """What became of one candidate. Without a row nothing is said to the device. `code` DUPLICATE has a row of code OK:
    the statement is durable, and its device asks again."""

    code: int
    row: ReceiptRow | None
    id: bytes


class Open(NamedTuple):
    """A durable statement that is not in a sealed batch yet."""

    held: Held
    device: bytes
    boot: int
    seq: int
    id: bytes
    prev: bytes


class Intake:
    """State of the open slots. `verify` may run anywhere; `commit` and `refresh` exclude each other."""

    def __init__(
        self,
        genesis: bytes,
        calendar: Calendar,
        beacons: BeaconChain,
        log: IntakeLog,
        statements_per_slot_max: int,
        waiting_tokens: Callable[[], Mapping[bytes, WaitingToken]] = dict,
    ) -> None:
        self._genesis = genesis
        self._calendar = calendar
        self._beacons = beacons
        self._registry = Registry({}, waiting_tokens)
        self._log = log
        self._statements_per_slot_max = statements_per_slot_max
        self._identity: TableState = {}
        self._chains: dict[ChainKey, Chain] = {}
        self._boots: dict[bytes, list[int]] | None = None  # by device, from the sealed chains; made when asked for
        self._in_slot: Counter[tuple[bytes, bool]] = Counter()
        self.open: dict[int, list[Open]] = {}
        self.refusals: dict[int, list[Row]] = {}
        self.reasons: Counter[str] = Counter()
        self.refused_by_device: Counter[tuple[bytes, int]] = Counter()

    @property
    def slot(self) -> int:
        return self._beacons.newest

    def open_slot(self) -> None:
        """A beacon is out: the quotas begin anew."""
        self._in_slot.clear()

    # SCREEN

    def screen(self, message: bytes, topic_device: bytes | None) -> Candidate:
        """Decode and find the key. Raises Refused with a code that gets no row."""
        envelope, salt, readings = wire.message_parts(message)
        signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._genesis)
        if topic_device is not None and signed.kid != topic_device:
            raise Refused(verdicts.WRONG_TOPIC)
        claims = wire.claims(signed.payload)
        key = self._registry.key_of(signed.kid) or self._enrolling_key(signed.kid, claims)
        # Where the broker does not vouch for the sender, anyone can use up a device's quota: that one is apart.
        self.use_quota(signed.kid, topic_device is not None)
        return Candidate(message, Held(self.slot, envelope, salt, readings), signed, claims, key, topic_device)

    def use_quota(self, device: bytes, vouched: bool) -> None:
        """One more message of a device in this slot. Raises Refused RATE_LIMITED."""
        quota = (device, vouched)
        if self._in_slot[quota] >= self._statements_per_slot_max:
            raise Refused(verdicts.RATE_LIMITED)
        self._in_slot[quota] += 1

    def _enrolling_key(self, device: bytes, claims: wire.Claims) -> bytes:
        """The key that an enrolment brings along: it must be the one that its device is named after."""
        key = claims.body[0] if claims.kind == KIND_ENROLL and claims.body else None
        if type(key) is not bytes or len(key) != 32 or cose.signer_id(key) != device:
            raise Refused(verdicts.UNKNOWN_DEVICE)
        if not wire.is_valid_key(key):
            raise Refused(verdicts.WEAK_KEY)
        return key

    def refuse(self, code: int, device: bytes | None) -> None:
        """Count what gets no row; a device is named only where the broker vouches for it."""
        self.reasons[verdicts.name(code)] += 1
        if device is not None and self._registry.is_enrolled(device):
            self.refused_by_device[(device, code)] += 1

    # VERIFY

    @staticmethod
    def verify(candidates: list[Candidate]) -> list[bool]:
        """Signature by signature. PyNaCl releases the interpreter lock; nothing shared is touched."""
        return [wire.is_signed_by(candidate.signed, candidate.key) for candidate in candidates]

    # COMMIT

    def commit(self, candidates: Iterable[Candidate], holds: Iterable[bool]) -> list[Outcome]:
        """Place a group, durable in the current slot on return. Raises OSError, and then nothing of it has happened."""
        crash.reached("after_receive")
        slot = self.slot
        group = _Group()
        outcomes = []
        for candidate, signature_holds in zip(candidates, holds, strict=True):
            code = self._decided(candidate, slot, group) if signature_holds else verdicts.BAD_SIGNATURE
            outcomes.append(self._outcome(candidate, code, slot, group))
        try:
            if group.records:
                self._log.append(slot, group.records)
        except OSError:
            self._undo(group)
            raise
        crash.reached("after_commit_before_receipt")
        self.open.setdefault(slot, []).extend(group.opened)
        self.refusals.setdefault(slot, []).extend(group.refusals)
        for candidate, outcome in zip(candidates, outcomes, strict=True):
            self._count(candidate, outcome)
        return outcomes

    def _decided(self, candidate: Candidate, slot: int, group: "_Group") -> int:
        """The code of a validly signed statement; marks chain and registry where it becomes durable."""
        device, claims = candidate.signed.kid, candidate.claims
        try:
            body = wire.checked_body(claims)
            self._check_readings(candidate)
            if self._registry.is_quarantined(device):
                raise Refused(verdicts.QUARANTINED)
            if claims.kind == KIND_ENROLL and self._registry.is_enrolling(device):
                return self._enrols_again(candidate)
            enrols = claims.kind == KIND_ENROLL and not self._registry.is_enrolled(device)
            if enrols:
                self._check_enrolment(device, body, slot)
            elif not self._registry.is_enrolled(device):
                raise Refused(verdicts.UNKNOWN_DEVICE)
        except Refused as refused:
            return refused.code
        chain = self._touched(device, claims.boot, slot, group)
        # What was counted is answered as counted, however long ago it was signed.
        if chain.place(claims.seq, candidate.signed.id[:ID8], claims.prev[:ID8]) is Place.SEEN:
            return verdicts.DUPLICATE
        quoted = self._beacons.number_of(claims.nonce)
        if quoted < 0:
            return verdicts.UNKNOWN_BEACON
        if slot - quoted > self._calendar.late_beacons_max:
            return verdicts.STALE_BEACON
        if self._is_forgotten(device, claims.boot):
            return verdicts.OUT_OF_WINDOW
        place = chain.add(claims.seq, candidate.signed.id[:ID8], claims.prev[:ID8])
        if place is Place.FORK:
            self._registry.suspect(device)
            group.suspects.append(device)
            return verdicts.FORK
        if place is Place.OUT_OF_WINDOW:
            return verdicts.OUT_OF_WINDOW
        if enrols:
            self._registry.enrol(device, candidate.key, body[1])
            group.enrolled.append(device)
        return verdicts.OK

    def _enrols_again(self, candidate: Candidate) -> int:
        """An open batch holds one enrolment a device: execution would take the first in canonical order, and nobody has
        checked the token of any but the first to arrive."""
        device, claims = candidate.signed.kid, candidate.claims
        chain = self._chains.get((device, claims.boot))
        if chain and chain.place(claims.seq, candidate.signed.id[:ID8], claims.prev[:ID8]) is Place.SEEN:
            return verdicts.DUPLICATE
        return verdicts.ALREADY_ENROLLED

    def _is_forgotten(self, device: bytes, boot: int) -> bool:
        """Whether execution has given up the chain of this boot, and so could not tell a repeat from a new one."""
        chains = self._identity.get("chains", {})
        if (device, boot) in chains:
            return False
        if self._boots is None:
            self._boots = {}
            for key in chains:
                self._boots.setdefault(key[0], []).append(int(key[1]))  # type: ignore[arg-type]
        boots = self._boots.get(device, [])
        return len(boots) >= BOOTS_MAX and boot < min(boots)

    def _check_readings(self, candidate: Candidate) -> None:
        if candidate.claims.kind == KIND_REPORT:
            if statement.commitment(candidate.held.salt, candidate.held.readings) != candidate.claims.body[1]:
                raise Refused(verdicts.BAD_COMMITMENT)
        elif candidate.held.salt:
            raise Refused(verdicts.BAD_COMMITMENT)

    def _check_enrolment(self, device: bytes, body: list[object], slot: int) -> None:
        wire.enrolment_holds(device, body, self._genesis)
        refusal = self._registry.enrolment_refusal(body[1], self._calendar.epoch_of(slot))  # type: ignore[arg-type]
        if refusal:
            raise Refused(refusal)

    def _touched(self, device: bytes, boot: int, slot: int, group: "_Group") -> Chain:
        """The chain to change, with its old form kept in case that the group fails."""
        key = (device, boot)
        chain = self._chains.get(key)
        if key not in group.before:
            group.before[key] = chain.pack() if chain else None
        if chain is None:
            row = self._identity.get("chains", {}).get(key)
            chain = Chain.unpack(*row) if row else Chain(slot)  # type: ignore[arg-type]
            self._chains[key] = chain
        return chain

    def _outcome(self, candidate: Candidate, code: int, slot: int, group: "_Group") -> Outcome:
        signed, claims = candidate.signed, candidate.claims
        if not verdicts.is_receipted(code):
            return Outcome(code, None, signed.id)
        row_code = verdicts.OK if code == verdicts.DUPLICATE else code
        row = ReceiptRow(signed.kid, claims.boot, claims.seq, signed.id[:ID8], row_code)
        if code in DURABLE:
            held = candidate.held._replace(slot=slot)
            group.records.append(Record(STATEMENT, candidate.message))
            group.opened.append(Open(held, signed.kid, claims.boot, claims.seq, signed.id, claims.prev))
        # A stranger's key can sign as many refused enrolments as it likes: only enrolled devices leave a trace.
        elif code != verdicts.DUPLICATE and self._registry.is_enrolled(signed.kid):
            refusal: Row = (*row[:4], slot, code)
            group.refusals.append(refusal)
            group.records.append(Record(REFUSAL, REFUSALS.pack([refusal])))
        return Outcome(code, row, signed.id)

    def _count(self, candidate: Candidate, outcome: Outcome) -> None:
        if outcome.code == verdicts.OK:
            self.reasons[verdicts.name(verdicts.OK)] += 1
            return
        # Without a good signature nothing is known of the sender but what the broker vouches for.
        signed_well = outcome.code != verdicts.BAD_SIGNATURE
        self.refuse(outcome.code, candidate.signed.kid if signed_well else candidate.topic_device)

    def _undo(self, group: "_Group") -> None:
        for key, packed in group.before.items():
            if packed is None:
                self._chains.pop(key, None)
            else:
                self._chains[key] = Chain.unpack(*packed)
        for device in group.enrolled:
            self._registry.forget(device)
        for device in group.suspects:
            self._registry.unsuspect(device)

    # BATCHES

    def refresh(self, identity: TableState, last_slot: int) -> None:
        """The slots up to `last_slot` are applied: forget them, and place what is still open on the new state."""
        self._identity = identity
        self._boots = None
        self._registry.refresh(identity)
        self._chains.clear()
        for slots in (self.open, self.refusals):
            for slot in [slot for slot in slots if slot <= last_slot]:
                del slots[slot]
        for slot in sorted(self.open):
            for opened in self.open[slot]:
                self._replay(opened)
        self._log.drop(last_slot)

    def enrolling(self) -> list[tuple[bytes, bytes]]:
        """(device, token key) of the enrolments that are in no sealed batch yet."""
        return self._registry.enrolling()

    def restore(self) -> int:
        """Read back what was durable when the process ended; the number of statements."""
        count = 0
        for slot in self._log.slots():
            for record in self._log.read(slot):
                if record.kind == REFUSAL:
                    self.refusals.setdefault(slot, []).extend(REFUSALS.unpack(record.body))
                    continue
                envelope, salt, readings = wire.message_parts(record.body)
                signed = wire.envelope(envelope, cose.TYPE_STATEMENT, self._genesis)
                claims = wire.claims(signed.payload)
                held = Held(slot, envelope, salt, readings)
                opened = Open(held, signed.kid, claims.boot, claims.seq, signed.id, claims.prev)
                self.open.setdefault(slot, []).append(opened)
                self._replay(opened)
                count += 1
        return count

    def _replay(self, opened: Open) -> None:
        chain = self._touched(opened.device, opened.boot, opened.held.slot, _Group())
        if chain.add(opened.seq, opened.id[:ID8], opened.prev[:ID8]) is Place.FORK:
            self._registry.suspect(opened.device)
        claims = wire.claims(wire.envelope(opened.held.envelope, cose.TYPE_STATEMENT, self._genesis).payload)
        if claims.kind == KIND_ENROLL and not self._registry.is_enrolled(opened.device):
            self._registry.enrol(opened.device, claims.body[0], claims.body[1])


class _Group:
    """What one commit changes, so that it can be undone as one."""

    def __init__(self) -> None:
        self.before: dict[ChainKey, tuple[int, int, int, bytes, bytes] | None] = {}
        self.records: list[Record] = []
        self.opened: list[Open] = []
        self.refusals: list[Row] = []
        self.enrolled: list[bytes] = []
        self.suspects: list[bytes] = []
