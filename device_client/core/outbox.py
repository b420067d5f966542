"""Statements that wait for a receipt. What is sent is durable before it is sent; what is receipted may be forgotten.

One append-only log of records, each `crc32 (4) | length (2) | kind (1) | body`, big-endian, the checksum over all that
follows it. A torn tail ends the log: whatever stood there had not been sent. The log also holds the boot counter, so
a device that loses the log has lost its boot counter, and must enrol again with a new key instead of looking like a
copy of itself.

    B boot (4)                                   a boot began
    S boot (4) seq (4) id8 (8) statement kind (1) message     a statement
    A boot (4) seq (4) code (1)                  it was receipted, finally refused, dropped or given up
    D count (4)                                  statements dropped before this log began
    E                                            the enrolment was receipted
    X length (2) beacon beacon                   two different beacons of one number: evidence
    P, Q, V, W                                   notes, each the newest of its kind: see `asking`

The storage has `size()`, `read(at, length)`, `append(data, durable)`: all of it or OSError and none of it, and when
`durable` it returns only when a power cut can no longer undo it; and `replace(pieces)`: atomic and durable.
An OSError changes nothing here either, except that a settled statement is forgotten until the next start.
"""

import binascii
import struct

from . import codes
from .pending import NOTES, Pending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Storage(Protocol):
        def size(self) -> int: ...
        def read(self, at: int, length: int) -> bytes: ...
        def append(self, data: bytes, durable: bool) -> None: ...
        def replace(self, pieces: "list[bytes]") -> None: ...


_HEAD_BYTES = 7
_STATEMENT_HEAD = 17
_BOOT_RECORD_BYTES = _HEAD_BYTES + 4
COMPACT_BYTES_MIN = 16384


def record(kind: bytes, *parts: bytes) -> bytes:
    """The parts are its body; they are copied once."""
    head = struct.pack(">H", sum([len(part) for part in parts])) + kind
    checksum = binascii.crc32(head)
    for part in parts:
        checksum = binascii.crc32(part, checksum)
    return b"".join((struct.pack(">I", checksum & 0xFFFFFFFF), head) + parts)


class Outbox:
    """`pending` is ordered oldest first; `boot` is the newest boot, 0 before the first; `seq` is the newest statement
    of this boot if it began here, else -1: a log forgets what is settled. `dropped` counts what there was no room for
    since the key was made, as far as it is durable. `lost` tells that a log was there but did not begin with a whole
    record: then the key is spent, and the log is emptied for another key. Shorter than the record of the first boot it
    is a torn first start, before which nothing can have been sent."""

    def __init__(self, storage: "Storage", records_max: int) -> None:
        self._storage = storage
        self._records_max = records_max
        self.boot = 0
        self.seq = -1
        self.enrolled = False
        self.evidence: "tuple[bytes, bytes] | None" = None
        self.notes: "dict[bytes, bytes]" = {}
        self.pending: "list[Pending]" = []
        self._index: "dict[tuple[int, int], Pending]" = {}
        self.settled: "dict[int, int]" = {}
        self.dropped = 0
        self._pending_bytes = 0
        self._size = storage.size()
        end = self._scan()
        self.lost = self._size >= _BOOT_RECORD_BYTES and self.boot == 0
        if end != self._size and not self.lost:
            self._compact()

    def _scan(self) -> int:
        at = 0
        while at + _HEAD_BYTES <= self._size:
            head = self._storage.read(at, _HEAD_BYTES)
            checksum, length = struct.unpack(">IH", head[:6])
            body = self._storage.read(at + _HEAD_BYTES, length)
            if len(body) != length or binascii.crc32(head[4:] + body) & 0xFFFFFFFF != checksum:
                break
            self._apply(head[6:7], body, at + _HEAD_BYTES)
            at += _HEAD_BYTES + length
        return at

    def _apply(self, kind: bytes, body: bytes, at: int) -> None:
        if kind == b"B":
            self.boot = struct.unpack(">I", body)[0]
        elif kind == b"S":
            boot, seq = struct.unpack(">II", body[:8])
            self._hold(Pending(boot, seq, body[8:16], body[16], at + _STATEMENT_HEAD, len(body) - _STATEMENT_HEAD))
        elif kind == b"A":
            boot, seq = struct.unpack(">II", body[:8])
            self._forget(boot, seq)
            self.dropped += body[8] == codes.DROPPED
        elif kind == b"D":
            self.dropped = struct.unpack(">I", body)[0]
        elif kind == b"E":
            self.enrolled = True
        elif kind == b"X":
            length = struct.unpack(">H", body[:2])[0]
            self.evidence = (body[2 : 2 + length], body[2 + length :])
        elif kind in NOTES:
            self.notes[kind] = body

    def _hold(self, pending: Pending) -> None:
        self.pending.append(pending)
        self._index[(pending.boot, pending.seq)] = pending
        self._pending_bytes += pending.length

    def _forget(self, boot: int, seq: int) -> None:
        pending = self._index.pop((boot, seq), None)
        if pending is not None:
            self.pending.remove(pending)
            self._pending_bytes -= pending.length

    def _append(self, kind: bytes, durable: bool, *body: bytes) -> int:
        data = record(kind, *body)
        self._storage.append(data, durable)
        at = self._size + _HEAD_BYTES
        self._size += len(data)
        return at

    def begin_boot(self) -> int:
        """Count this boot, durably, before its first statement."""
        assert not self.lost, "the boot counter is lost: this key must not speak again"
        self._append(b"B", True, struct.pack(">I", self.boot + 1))
        self.boot += 1
        self.seq = 0
        return self.boot

    def add(self, seq: int, statement_id: bytes, kind: int, message: bytes) -> Pending:
        """Keep a statement of this boot, durable on return. Without room the oldest is dropped, and counted."""
        while len(self.pending) >= self._records_max:
            oldest = self.pending[0]
            self.settle(oldest, codes.DROPPED)
        head = struct.pack(">II", self.boot, seq) + statement_id[:8] + bytes((kind,))
        at = self._append(b"S", True, head, message)
        pending = Pending(self.boot, seq, statement_id[:8], kind, at + _STATEMENT_HEAD, len(message))
        self._hold(pending)
        self.seq = seq
        return pending

    @property
    def waiting(self) -> int:
        """How many statements have no receipt."""
        return len(self.pending)

    @property
    def newest(self) -> "Pending | None":
        """The newest statement that waits."""
        return self.pending[-1] if self.pending else None

    def limit(self, records_max: int) -> None:
        """Hold no more statements than these from now on: for a device whose memory runs low."""
        self._records_max = min(self._records_max, records_max)

    def find(self, boot: int, seq: int, id8: bytes) -> "Pending | None":
        pending = self._index.get((boot, seq))
        return pending if pending is not None and pending.id8 == id8 else None

    def message(self, pending: Pending) -> bytes:
        return self._storage.read(pending.at, pending.length)

    def settle(self, pending: Pending, code: int) -> None:
        """Forget a statement. Not durable: after a power cut it is sent once more and receipted once more."""
        full = False
        try:
            self._append(b"A", False, struct.pack(">IIB", pending.boot, pending.seq, code))
        except OSError:
            full = True  # only a shorter log can take more
        self._forget(pending.boot, pending.seq)
        self.settled[code] = self.settled.get(code, 0) + 1
        self.dropped += code == codes.DROPPED
        if full or (self._size > COMPACT_BYTES_MIN and self._size > 4 * self._pending_bytes):
            self._compact()

    def set_enrolled(self) -> None:
        self._append(b"E", True)
        self.enrolled = True

    def keep_evidence(self, first: bytes, second: bytes) -> None:
        """Keep two beacons that contradict each other; the first pair is enough."""
        if self.evidence is None:
            self._append(b"X", True, struct.pack(">H", len(first)), first, second)
            self.evidence = (first, second)

    def note(self, kind: bytes, body: bytes, durable: bool) -> None:
        """Keep a note over the one of its kind."""
        self._append(kind, durable, body)
        self.notes[kind] = body

    def _compact(self) -> None:
        pieces = [record(b"B", struct.pack(">I", self.boot))] if self.boot else []
        if self.dropped:
            pieces.append(record(b"D", struct.pack(">I", self.dropped)))
        if self.enrolled:
            pieces.append(record(b"E"))
        if self.evidence is not None:
            first, second = self.evidence
            pieces.append(record(b"X", struct.pack(">H", len(first)), first, second))
        for kind in sorted(self.notes):
            pieces.append(record(kind, self.notes[kind]))
        size = sum([len(piece) for piece in pieces])
        places = []
        for pending in self.pending:
            body = struct.pack(">II", pending.boot, pending.seq) + pending.id8 + bytes((pending.kind,))
            piece = record(b"S", body, self.message(pending))
            places.append(size + _HEAD_BYTES + _STATEMENT_HEAD)
            size += len(piece)
            pieces.append(piece)
        self._storage.replace(pieces)
        self._size = size
        for index, at in enumerate(places):
            self.pending[index].at = at
