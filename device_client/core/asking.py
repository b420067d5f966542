"""When a device asks for proofs, what it makes of the answers, and what of that is durable.

After an epoch it asks for its payout; when that is settled, for the batch of one statement of the epoch that it holds a
receipt for, drawn at random among all of them, so that the coordinator does not know which one it must not have left
out. Each ask counts only under a beacon of its own: a coordinator that is down sends none. What does not come after
ASKS_MAX asks is missing, which is kept like an answer that is wrong.

Notes in the outbox's log, each one the newest of its kind:

    P next epoch (8) verified epoch (8) paid (8) verified (4) absent (4) wrong (4) missing (4) found (4) subject (8) outcome (1)
    W, V epoch (8) slot (8) boot (4) seq (4) receipts (4) statement id (32)     of an even and of an odd epoch
    Q the first answer that the coordinator signed and that proves nothing
"""  # noqa: E501

import hashlib
import struct

from . import cbor, cose
from .cbor import Malformed, is_uint
from .statement import U64_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .light import Beacon, Trust
    from .outbox import Outbox
    from .ring import Ring

KIND_PAYOUT = 1
KIND_STATEMENT = 2
KINDS = (KIND_PAYOUT, KIND_STATEMENT)

QUESTION_TAG = 0x85  # an array of five, where a statement's message has one or three and a beacon a tag
QUESTION_BYTES_MAX = 64
PROOF_BYTES_MAX = 3072
PIECE_BYTES_MAX = 1024
PIECE_DATA_BYTES = 960
PIECES_MAX = 4
DIGEST_BYTES = 8
ROOT_BYTES = 32

ASKS_MAX = 6
ASK_CAP_MS = 300_000
SPREAD_MS_MAX = 600_000
EPOCHS_BEHIND_MAX = 4
ANSWERS_MAX = 4  # whole answers looked at for one ask: a signature costs a board a tenth of a second

VERIFIED = 1
ABSENT = 2
WRONG = 3
MISSING = 4
OUTCOMES = {VERIFIED: "verified", ABSENT: "absent", WRONG: "wrong", MISSING: "missing"}

NOTE_STATE = b"P"
NOTE_WITNESS = (b"W", b"V")
NOTE_WRONG = b"Q"
_STATE = ">QQqIIIIIQB"
_WITNESS = ">QQIII32s"
NONE = 0xFFFFFFFFFFFFFFFF


class Calendar:
    """Slots to a batch and an epoch, and the deadline, all in beacons: coordinator.kernel.epochs for a device."""

    def __init__(self, batch_beacons: int, epoch_beacons: int, deadline_beacons: int) -> None:
        self.batch_beacons = batch_beacons
        self.epoch_beacons = epoch_beacons
        self.deadline_beacons = deadline_beacons

    def end_of(self, epoch: int) -> int:
        """The first slot after an epoch and its deadline."""
        return (epoch + 1) * self.epoch_beacons + self.deadline_beacons

    def closing_batch(self, epoch: int) -> int:
        return -(-self.end_of(epoch) // self.batch_beacons) - 1

    def last_closed(self, batches: int) -> int:
        """The newest epoch that so many batches have closed, -1 for none."""
        return max(-1, (batches * self.batch_beacons - self.deadline_beacons) // self.epoch_beacons - 1)

    def closes(self, epoch: int, first_slot: int, last_slot: int) -> bool:
        """Whether a batch of these slots closes the epoch."""
        return first_slot < self.end_of(epoch) <= last_slot + 1


class Question:
    """What is asked, at which log. `subject` and `number` as the module says; `log_root` has 32 bytes."""

    def __init__(self, kind: int, log_size: int, log_root: bytes, subject: int, number: int) -> None:
        self.kind = kind
        self.log_size = log_size
        self.log_root = log_root
        self.subject = subject
        self.number = number

    def encoded(self) -> bytes:
        return cbor.encode([self.kind, self.log_size, self.log_root, self.subject, self.number])


class Piece:
    """One of `total` parts of an answer; `digest` is the beginning of SHA-256 of the whole."""

    def __init__(
        self, kind: int, subject: int, number: int, index: int, total: int, digest: bytes, data: bytes
    ) -> None:
        self.kind = kind
        self.subject = subject
        self.number = number
        self.index = index
        self.total = total
        self.digest = digest
        self.data = data


def parse_piece(data: bytes) -> Piece:
    """Raises Malformed."""
    if len(data) > PIECE_BYTES_MAX:
        raise Malformed("piece too large")
    fields = cbor.decode(data)
    if not isinstance(fields, list) or len(fields) != 7:
        raise Malformed("piece")
    kind, subject, number, index, total, digest, part = fields
    if kind not in KINDS or not is_uint(subject, U64_MAX) or not is_uint(number, U64_MAX):
        raise Malformed("piece")
    if not is_uint(total, PIECES_MAX) or not is_uint(index, PIECES_MAX) or index >= total:
        raise Malformed("piece")
    if not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES:
        raise Malformed("piece")
    if not isinstance(part, bytes) or not 1 <= len(part) <= PIECE_DATA_BYTES:
        raise Malformed("piece")
    if index < total - 1 and len(part) != PIECE_DATA_BYTES:
        raise Malformed("piece")
    return Piece(kind, subject, number, index, total, digest, part)


class Gathered:
    """The pieces of one answer, in any order; those of another answer begin anew."""

    def __init__(self) -> None:
        self._digest = b""
        self._parts: "list[bytes]" = []

    def add(self, piece: Piece) -> bytes:
        """The whole answer when this was its last piece, else nothing. Raises Malformed when the whole is another than
        its pieces say."""
        if piece.digest != self._digest or piece.total != len(self._parts):
            self._digest = piece.digest
            self._parts = [b""] * piece.total
        self._parts[piece.index] = piece.data
        if b"" in self._parts:
            return b""
        answer = b"".join(self._parts)
        self.clear()
        if len(answer) > PROOF_BYTES_MAX or hashlib.sha256(answer).digest()[:DIGEST_BYTES] != piece.digest:
            raise Malformed("answer")
        return answer

    def clear(self) -> None:
        self._digest = b""
        self._parts = []


class State:
    """What came of the proofs. `next_epoch` is the first epoch not settled, NONE before the first beacon; `epoch` and
    `paid` (base units) are of the newest payout that was verified, NONE before; `found` counts statements that stand in
    their batch; `subject` and `outcome` are of the newest thing that is not as it should be."""

    def __init__(self, note: bytes) -> None:
        fields = struct.unpack(_STATE, note) if note else (NONE, NONE, 0, 0, 0, 0, 0, 0, NONE, 0)
        self.next_epoch, self.epoch, self.paid, self.verified, self.absent = fields[:5]
        self.wrong, self.missing, self.found, self.subject, self.outcome = fields[5:]

    def note(self) -> bytes:
        counts = (self.verified, self.absent, self.wrong, self.missing, self.found)
        return struct.pack(_STATE, self.next_epoch, self.epoch, self.paid, *counts, self.subject, self.outcome)


class Asker:
    """The proofs of one device. `count` is the client's."""

    def __init__(
        self,
        calendar: Calendar,
        device_id: bytes,
        outbox: "Outbox | Ring",
        trust: "Trust",
        random: "Callable[[int], bytes]",
        count: "Callable[[str], None]",
        retry_ms: int,
        beacon_interval_s: int,
    ) -> None:
        self.calendar = calendar
        self.state = State(outbox.notes.get(NOTE_STATE, b""))
        self._device_id = device_id
        self._outbox = outbox
        self._trust = trust
        self._random = random
        self._count = count
        self._retry_ms = retry_ms
        self._spread_ms = min(SPREAD_MS_MAX, calendar.epoch_beacons * beacon_interval_s * 125)  # an eighth
        self._question: "Question | None" = None
        self._gathered = Gathered()
        self._statement_id = b""
        self._beacon_number = -1  # the log of which is asked about
        self._incarnation = 0
        self._asked_beacon = -1
        self._asks = 0
        self._answers = 0
        self._due_ms = 0

    # RECEIPTS

    def receipted(self, slot: int, boot: int, seq: int, statement_id: bytes) -> None:
        """A report was receipted that was sent once. Each of an epoch is as likely to be held in the end."""
        epoch = slot // self.calendar.epoch_beacons
        kind = NOTE_WITNESS[epoch % 2]
        held = self._outbox.notes.get(kind, b"")
        seen = 0
        if held:
            of_epoch, _, _, _, seen, _ = struct.unpack(_WITNESS, held)
            if of_epoch > epoch:
                return
            if of_epoch < epoch:
                seen = 0
        seen += 1
        if seen > 1 and int.from_bytes(self._random(4), "big") % seen:
            # Only the count: kept in memory, it is durable with the next one that is held.
            self._outbox.notes[kind] = held[:24] + struct.pack(">I", seen) + held[28:]
            return
        self._outbox.note(kind, struct.pack(_WITNESS, epoch, slot, boot, seq, seen, statement_id), False)

    # QUESTIONS

    def questions(self, beacon: "Beacon", now_ms: int) -> "list[bytes]":
        """What to ask now. Raises OSError."""
        if self.state.next_epoch == NONE:
            self.state.next_epoch = beacon.number // self.calendar.epoch_beacons
            self._save()
        if self._question is None:
            self._choose(beacon, now_ms)
        if self._question is None or now_ms < self._due_ms:
            return []
        if self._asks >= ASKS_MAX:
            self._settle(MISSING)
            return []
        if self._asks % 2 == 0 or beacon.incarnation != self._incarnation:
            self._aim(self._question.kind, beacon, self._question.subject, self._question.number)
        if beacon.number != self._asked_beacon:
            self._asked_beacon = beacon.number
            self._asks += 1
        delay_ms = min(ASK_CAP_MS, self._retry_ms << min(self._asks, 10))
        self._due_ms = now_ms + delay_ms + delay_ms * self._random(1)[0] // 512
        self._answers = 0
        self._count("proofs_asked")
        return [self._question.encoded()]

    def _choose(self, beacon: "Beacon", now_ms: int) -> None:
        """The next payout that the log can prove; one that it should long be able to prove is missing."""
        calendar, state = self.calendar, self.state
        closed = calendar.last_closed(beacon.log_size)
        if closed - state.next_epoch >= EPOCHS_BEHIND_MAX:
            state.next_epoch = closed - EPOCHS_BEHIND_MAX + 1
            self._count("proofs_skipped")
        if closed < state.next_epoch:
            if beacon.number >= calendar.end_of(state.next_epoch) + calendar.batch_beacons + calendar.epoch_beacons:
                self._note_trouble(state.next_epoch, MISSING)
                self._next_epoch()
            return
        self._begin(KIND_PAYOUT, beacon, state.next_epoch, 0)
        self._due_ms = now_ms + self._spread_ms * self._random(1)[0] // 256

    def _begin(self, kind: int, beacon: "Beacon", subject: int, number: int) -> None:
        self._asks = 0
        self._asked_beacon = -1
        self._aim(kind, beacon, subject, number)

    def _aim(self, kind: int, beacon: "Beacon", subject: int, number: int) -> None:
        self._gathered.clear()
        self._incarnation = beacon.incarnation
        self._beacon_number = beacon.number
        self._question = Question(kind, beacon.log_size, beacon.log_root, subject, number)

    # ANSWERS

    def take(self, data: bytes) -> None:
        """A piece. Raises Malformed, BadSignature: what the coordinator did not sign is evidence against nobody."""
        piece = parse_piece(data)
        question = self._question
        if question is None or (piece.kind, piece.subject, piece.number) != (
            question.kind,
            question.subject,
            question.number,
        ):
            self._count("proofs_not_asked")
            return
        if self._answers >= ANSWERS_MAX:
            self._count("proofs_beyond")
            return
        answer = self._gathered.add(piece)
        if not answer:
            return
        self._answers += 1
        payload = self._trust.signed_at(answer, cose.TYPE_PROOF, self._beacon_number)
        try:
            self._judge(payload, answer, question)
        finally:
            self.judged()

    def judged(self) -> None:
        """A board forgets here what it needs for a moment only."""

    def _judge(self, payload: bytes, answer: bytes, question: Question) -> None:

        from . import proofs  # larger than all that stays

        try:
            row = proofs.checked(payload, question, self._device_id, self.calendar, self._statement_id)
        except proofs.Wrong as wrong:
            if str(wrong) == "another question":  # an answer to an earlier ask, of a smaller log
                self._count("proofs_not_asked")
                return
            if NOTE_WRONG not in self._outbox.notes:
                self._outbox.note(NOTE_WRONG, answer, True)
            self._settle(WRONG)
            return
        if row is None:
            self._settle(ABSENT)
            return
        if question.kind == KIND_PAYOUT:
            self.state.epoch = question.subject
            self.state.paid = row[6]
        self._settle(VERIFIED)

    def _settle(self, outcome: int) -> None:
        """This question is over. After a payout comes the statement of its epoch, then the next epoch."""
        question, state = self._question, self.state
        self._question = None
        self._gathered.clear()
        assert question is not None
        self._count("proofs_" + OUTCOMES[outcome])
        if outcome == MISSING and question.kind == KIND_STATEMENT:
            pass  # a coordinator that is asked for too many batches at once may leave it
        elif outcome != VERIFIED:
            self._note_trouble(question.subject, outcome)
        elif question.kind == KIND_PAYOUT:
            state.verified += 1
        else:
            state.found += 1
        if question.kind == KIND_PAYOUT and outcome != MISSING and self._ask_for_statement(question):
            self._save()
            return
        self._next_epoch()

    def _ask_for_statement(self, payout: Question) -> bool:
        held = self._outbox.notes.get(NOTE_WITNESS[payout.subject % 2], b"")
        if not held:
            return False
        epoch, slot, boot, seq, _, self._statement_id = struct.unpack(_WITNESS, held)
        if epoch != payout.subject:
            return False
        self._question = Question(KIND_STATEMENT, payout.log_size, payout.log_root, slot, boot << 32 | seq)
        self._asks = 0
        self._asked_beacon = -1
        self._due_ms = 0
        return True

    def _next_epoch(self) -> None:
        self.state.next_epoch += 1
        self._save()

    def _note_trouble(self, subject: int, outcome: int) -> None:
        state = self.state
        state.subject, state.outcome = subject, outcome
        if outcome == ABSENT:
            state.absent += 1
        elif outcome == WRONG:
            state.wrong += 1
        else:
            state.missing += 1

    def _save(self) -> None:
        self._outbox.note(NOTE_STATE, self.state.note(), True)
