"""The intake: what a message must be to become durable, and what its sender is told.

    screen   decode, find the key; what fails here gets no row, because anyone could have sent it
    verify   Ed25519, on any thread
    place    put each statement of a group into its chain, and pack what has to be kept
    write    the group to the log, one fsync, on any thread
    settle   count; then the rows may be sent

The chains held here are the early guard against repeats; execution refuses repeats again, from its own state. Held are
those of devices that spoke in an open slot, and others as far as there is room: the rest is in identity's store.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from coordinator import crash
from coordinator.engine import wire
from coordinator.engine.beacons import BeaconChain
from coordinator.engine.packing import REFUSALS
from coordinator.engine.wire import Refused
from coordinator.kernel.chains import ID8, Mark, Place
from coordinator.kernel.epochs import Calendar
from coordinator.kernel.tables import Row, TableState
from device_client.core import verdicts
from device_client.core.statement import KIND_ENROLL

from .counts import Counts
from .filled import Filled, Key
from .held_chains import HeldChain, HeldChains
from .log import ID_BYTES, REFUSAL, STATEMENT, IntakeLog, Record, SlotLogs, packed, packed_statement
from .quotas import Limits, Quotas
from .receipts import ReceiptRow
from .registry import Changes, Registry, WaitingToken
from .screen import Candidate, Screen

DURABLE = frozenset((verdicts.OK, verdicts.FORK))
_ROW_CODE = {verdicts.DUPLICATE: verdicts.OK}


class Outcome(NamedTuple):
    """What became of one candidate. Without a row nothing is said to the device. `code` DUPLICATE has a row of code OK:
    the statement is durable, and its device asks again."""

    code: int
    row: ReceiptRow | None
    id: bytes


class Intake:
    """State of the open slots of one worker. `verify` and `write` may run anywhere; between `place` and `settle` (or
    `undo`) no other group is placed and the slot does not change."""

    def __init__(
        self,
        genesis: bytes,
        calendar: Calendar,
        beacons: BeaconChain,
        log: IntakeLog,
        identity: TableState,
        limits: Limits,
        counts: Counts,
        waiting_tokens: Callable[[], Mapping[bytes, WaitingToken]] = dict,
    ) -> None:
        self._genesis = genesis
        self._calendar = calendar
        self._beacons = beacons
        self._log = log
        self._registry = Registry(identity, waiting_tokens)
        self._screen = Screen(genesis, self._registry)
        self._chains = HeldChains(identity)
        self._filled = Filled()
        self._quotas = Quotas(limits)
        self._counts = counts

    @property
    def slot(self) -> int:
        return self._beacons.newest

    def open_slot(self) -> None:
        """A beacon is out: the quotas begin anew."""
        self._quotas.open_slot()

    # SCREEN

    def admits(self, device: bytes) -> bool:
        """Whether a device that the broker vouches for may send one more message in this slot."""
        return self._quotas.admits(device, vouched=True)

    def screen(self, message: bytes, topic_device: bytes | None) -> Candidate:
        """Decode and find the key. Raises Refused with a code that gets no row."""
        candidate = self._screen.candidate(message, topic_device)
        if topic_device is None and not self._quotas.admits(candidate.device, vouched=False):
            raise Refused(verdicts.RATE_LIMITED)
        return candidate

    def refuse(self, code: int, device: bytes | None) -> None:
        """Count what gets no row; a device is named only where the broker vouches for it."""
        self._counts.add(code, device if device is not None and self._registry.is_enrolled(device) else None)

    # VERIFY

    @staticmethod
    def verify(candidates: Sequence[Candidate]) -> list[bool]:
        """Signature by signature. PyNaCl releases the interpreter lock; nothing shared is touched."""
        return [wire.signature_holds(one.key, one.signed, one.signature) for one in candidates]

    # COMMIT

    def commit(self, candidates: Sequence[Candidate], holds: Iterable[bool]) -> list[Outcome]:
        """Place a group, durable in the current slot on return. Raises OSError, and then nothing of it has happened."""
        group = self.place(candidates, holds)
        try:
            self.write(group)
        except OSError:
            self.undo(group)
            raise
        self.settle(group)
        return group.outcomes

    def place(self, candidates: Sequence[Candidate], holds: Iterable[bool]) -> "Group":
        """Decide on every candidate, in order. Chains and registry are marked; nothing is durable yet."""
        crash.reached("after_receive")
        group = Group(self.slot)
        for candidate, signature_holds in zip(candidates, holds, strict=True):
            code = self._decided(candidate, group) if signature_holds else verdicts.BAD_SIGNATURE
            outcome = self._outcome(candidate, code, group)
            group.outcomes.append(outcome)
            if outcome.row is not None:
                group.rows.append(outcome.row)
            if code != verdicts.OK:
                # Without a good signature nothing is known of the sender but what the broker vouches for.
                signed_well = code != verdicts.BAD_SIGNATURE
                group.refused.append((code, candidate.device if signed_well else candidate.topic_device))
        return group

    def write(self, group: "Group") -> None:
        """Durable on return. Raises OSError: then `undo` it."""
        if group.records:
            self._log.append(group.slot, b"".join(group.records))
        crash.reached("after_commit_before_receipt")

    def settle(self, group: "Group") -> None:
        """Count what became durable and what was refused."""
        for code, device in group.refused:
            self.refuse(code, device)
        accepted = len(group.outcomes) - len(group.refused)
        if accepted:
            self._counts.add(verdicts.OK, times=accepted)

    def undo(self, group: "Group") -> None:
        """The log failed: nothing of the group has happened."""
        for held, mark in group.before.items():
            held.chain.rewind(mark)
        for key in group.filled:
            self._filled.forget(key)
        for device in group.enrolled:
            self._registry.forget(device)
        for device in group.suspects:
            self._registry.unsuspect(device)

    def _decided(self, candidate: Candidate, group: "Group") -> int:
        """The code of a validly signed statement; marks chain and registry where it becomes durable."""
        if candidate.code:
            return candidate.code
        device, id8, prev8 = candidate.device, candidate.id[:ID8], candidate.prev[:ID8]
        if self._registry.is_quarantined(device):
            return verdicts.QUARANTINED
        if self._registry.is_revoked(device):
            return verdicts.REVOKED
        enrols = False
        if candidate.kind == KIND_ENROLL:
            if self._registry.is_enrolling(device):
                return self._enrols_again(candidate)
            enrols = not self._registry.is_enrolled(device)
            refusal = self._enrolment_refusal(candidate, group.slot) if enrols else 0
            if refusal:
                return refusal
        elif not self._registry.is_enrolled(device):
            return verdicts.UNKNOWN_DEVICE
        held = self._chains.of(device, candidate.boot, group.slot)
        place = held.chain.place(candidate.seq, id8, prev8)
        # What was counted is answered as counted, however long ago it was signed.
        key = (device, candidate.boot, candidate.seq)
        if place is Place.SEEN or (place is Place.OUT_OF_WINDOW and self._filled.holds(key, id8)):
            return verdicts.DUPLICATE
        quoted = self._beacons.number_of(candidate.nonce)
        if quoted < 0:
            return verdicts.UNKNOWN_BEACON
        if group.slot - quoted > self._calendar.late_beacons_max:
            return verdicts.STALE_BEACON
        if held.is_forgotten:
            return verdicts.OUT_OF_WINDOW
        if place is Place.OUT_OF_WINDOW:
            return verdicts.OUT_OF_WINDOW
        group.touch(held)
        held.chain.put(place, candidate.seq, id8, prev8)
        held.last_slot = group.slot
        if place is Place.FILLS_GAP:
            self._filled.add(key, id8)
            group.filled.append(key)
        if place is Place.FORK:
            self._registry.suspect(device, group.slot)
            group.suspects.append(device)
            return verdicts.FORK
        if enrols:
            self._registry.enrol(device, candidate.key, candidate.body[1], group.slot)  # type: ignore[arg-type]
            group.enrolled.append(device)
        return verdicts.OK

    def _enrols_again(self, candidate: Candidate) -> int:
        """An open batch holds one enrolment a device: execution would take the first in canonical order, and nobody has
        checked the token of any but the first to arrive."""
        held = self._chains.held(candidate.device, candidate.boot)
        place = held and held.chain.place(candidate.seq, candidate.id[:ID8], candidate.prev[:ID8])
        return verdicts.DUPLICATE if place is Place.SEEN else verdicts.ALREADY_ENROLLED

    def _enrolment_refusal(self, candidate: Candidate, slot: int) -> int:
        try:
            wire.enrolment_holds(candidate.device, candidate.body, self._genesis)
        except Refused as refused:
            return refused.code
        token_key: bytes = candidate.body[1]  # type: ignore[assignment]
        return self._registry.enrolment_refusal(token_key, self._calendar.epoch_of(slot))

    def _outcome(self, candidate: Candidate, code: int, group: "Group") -> Outcome:
        device, id8 = candidate.device, candidate.id[:ID8]
        if code in DURABLE:
            group.records.append(packed_statement(candidate.id, candidate.message))
            return Outcome(code, ReceiptRow(device, candidate.boot, candidate.seq, id8, code), candidate.id)
        if not verdicts.is_receipted(code):
            return Outcome(code, None, candidate.id)
        row = ReceiptRow(device, candidate.boot, candidate.seq, id8, _ROW_CODE.get(code, code))
        # A stranger's key can sign as many refused enrolments as it likes: only enrolled devices leave a trace.
        if code != verdicts.DUPLICATE and self._registry.is_enrolled(device):
            refusal: Row = (*row[:4], group.slot, code)
            group.records.append(packed(Record(REFUSAL, REFUSALS.pack([refusal]))))
        return Outcome(code, row, candidate.id)

    # BATCHES

    def refresh(self, identity: TableState, changes: Changes) -> None:
        """A batch was applied: what was provisional in it is settled."""
        refused = self._registry.refresh(identity, changes)
        self._chains.refresh(identity, changes, refused)
        self._log.drop(changes.last_slot)

    def enrolling(self) -> list[tuple[bytes, bytes]]:
        """(device, token key) of the enrolments that are in no sealed batch yet."""
        return self._registry.enrolling()

    def restore(self, logs: SlotLogs, takes: Callable[[bytes], bool] = lambda device: True) -> int:
        """Place again what was durable when the processes ended, of the devices that this worker `takes`: the number
        of statements."""
        count = 0
        for slot in logs.slots():
            for record in logs.read(slot):
                if record.kind == STATEMENT:
                    count += self._replay(record.body[ID_BYTES:], slot, takes)
        return count

    def _replay(self, message: bytes, slot: int, takes: Callable[[bytes], bool]) -> bool:
        said = self._screen.replayed(message)
        device = said.device
        if not takes(device):
            return False
        held = self._chains.of(device, said.boot, slot)
        held.last_slot = slot
        place = held.chain.add(said.seq, said.id[:ID8], said.prev[:ID8])
        if place is Place.FORK:
            self._registry.suspect(device, slot)
        if place is Place.FILLS_GAP:
            self._filled.add((device, said.boot, said.seq), said.id[:ID8])
        if said.kind == KIND_ENROLL and not self._registry.is_enrolled(device):
            self._registry.enrol(device, said.body[0], said.body[1], slot)  # type: ignore[arg-type]
        return True


class Group:
    """Candidates that become durable together: what became of each, the rows to send, what is refused for which device,
    and what to undo when the log fails."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.outcomes: list[Outcome] = []
        self.rows: list[ReceiptRow] = []
        self.refused: list[tuple[int, bytes | None]] = []
        self.records: list[bytes] = []
        self.before: dict[HeldChain, Mark] = {}
        self.enrolled: list[bytes] = []
        self.suspects: list[bytes] = []
        self.filled: list[Key] = []

    def touch(self, held: HeldChain) -> None:
        """Remember a chain as it was before the group."""
        if held not in self.before:
            self.before[held] = held.chain.mark()
