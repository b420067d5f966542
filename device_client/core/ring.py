"""The outbox of a board: a ring of sectors in a flash partition of its own. The same words as `outbox`, other storage.

Theory of operation. The flash is NOR: an erase sets a sector of 4096 bytes to ones, a program only clears bits. Sector
`number` lies at `number % sectors`. One of them is always free, so that opening the next one (erase it, write its
header, copy into it what is still needed of the oldest, then clear its `open` byte) spoils nothing that counts: until
that byte is cleared the sector does not count and the oldest does, and from then on the other way round. So a power
cut at any moment leaves the state before or after, and a free sector is erased again whatever a cut left in it.

    sector   magic (4) number (4) boot (4) seq (4) dropped (4) the newest of these: boot (4) seq (4)
             enrolled (1) crc32 of all these (4) open (1), then records
    record   crc32 (4) length (2) kind (1) waiting (1) body         the checksum over length, kind and body
      B boot (4)                                                    a boot began
      S boot (4) seq (4) id8 (8) statement kind (1) message         a statement; `waiting` is cleared when it is settled
      E                                                             the enrolment was receipted
      X length (2) beacon beacon                                    two different beacons of one number: evidence
      P, Q, V, W                                                    notes, each the newest of its kind: see `asking`

A byte `waiting` or `open` that a cut left half cleared counts as cleared: it is cleared only when that is true. A torn
record ends its sector. Of what cannot be read at the end of the ring nobody knows which boots it counted: so many are
skipped that none can come twice, because two statements with one number prove a copied key.

What waits in the oldest sector is carried when less than half of the ring waits and it is at hand, among the oldest of
the window; else it is dropped and counted, with all that is older. Memory holds a window of statements: the oldest and
the NEWEST few; the others stay in the flash until their turn comes.

The flash has `readblocks(block, buffer, offset)`, `writeblocks(block, buffer, offset)` that programs without erasing,
and `ioctl`: 4 blocks, 5 bytes of one, 6 erase one. `esp32.Partition` is one. A failure is an OSError, or a number that
is not 0. After an OSError here nothing has changed, except that a settled statement is forgotten until the next start.
"""

import binascii
import struct

from . import codes
from .pending import NOTES, Pending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Flash(Protocol):
        def readblocks(self, block: int, buffer: bytearray, offset: int) -> object: ...
        def writeblocks(self, block: int, buffer: bytes, offset: int) -> object: ...
        def ioctl(self, command: int, argument: int) -> "int | None": ...


SECTOR_BYTES = 4096
SECTORS_MIN = 4
WINDOW = 24  # a sector holds 20 of the smallest reports at most
NEWEST = 4
_MAGIC = b"ETO1"
_HEADER = ">4sIIIIIIB"
_HEADER_BYTES = 34
_OPEN_AT = 33
_HEAD_BYTES = 8
_WAITING_AT = 7
_STATEMENT_HEAD = 17
_BOOTS_MAX = SECTOR_BYTES // 12  # that one sector can have counted


class Ring:
    """Interface and attributes as `outbox.Outbox`; of `pending` only the window is in memory, `waiting` counts all.
    `seq` is the newest of this boot; `dropped` counts since the ring began, `damaged` the sectors that this start could
    not read. `lost`: there is something, but no whole sector. Raises ValueError for a partition that is too small."""

    def __init__(self, flash: "Flash", window: int = WINDOW) -> None:
        self._flash = flash
        self._sectors = flash.ioctl(4, 0) or 0
        if self._sectors < SECTORS_MIN or flash.ioctl(5, 0) != SECTOR_BYTES:
            raise ValueError("outbox: a ring needs %d sectors of %d bytes" % (SECTORS_MIN, SECTOR_BYTES))
        self._window = max(window, 2 * NEWEST)
        self._forget_all()
        self._scan()

    def _forget_all(self) -> None:
        self.boot = 0
        self.seq = 0
        self.dropped = 0
        self.damaged = 0
        self.enrolled = False
        self.lost = False
        self.evidence: "tuple[bytes, bytes] | None" = None
        self.notes: "dict[bytes, bytes]" = {}
        self.pending: "list[Pending]" = []
        self.waiting = 0
        self.settled: "dict[int, int]" = {}
        self._bytes = 0  # of all that waits
        self._places: "dict[bytes, int]" = {}  # sector of the newest note of each kind
        self._number = 0  # of the sector that takes records
        self._at = SECTOR_BYTES  # where the next one goes
        self._behind = 0  # number of the first sector with statements that are not at hand, 0 for none
        self._tail = 0  # how many of `pending` are newer than those
        self._gone = (0, 0)  # the newest statement that was dropped
        self._broken = False

    # FLASH

    def _read(self, sector: int, at: int, length: int) -> bytearray:
        data = bytearray(length)
        if length and self._flash.readblocks(sector, data, at):
            raise OSError(5)
        return data

    def _program(self, sector: int, at: int, data: bytes) -> None:
        """Return when it is there: read back, because worn flash says nothing."""
        if self._flash.writeblocks(sector, data, at) or self._read(sector, at, len(data)) != data:
            raise OSError(5)

    def _header(self, sector: int) -> "tuple[int, ...] | None":
        """(number, boot, seq, dropped, newest dropped boot, seq, enrolled, open), None for none; number 0 if erased."""
        data = self._read(sector, 0, _HEADER_BYTES)
        if data == b"\xff" * _HEADER_BYTES:
            return (0, 0, 0, 0, 0, 0, 0, 0xFF)
        fields = struct.unpack(_HEADER + "IB", data)
        number = fields[1]
        whole = fields[8] == binascii.crc32(data[: _OPEN_AT - 4]) & 0xFFFFFFFF
        return fields[1:8] + fields[9:] if whole and fields[0] == _MAGIC and number % self._sectors == sector else None

    def _records(self, sector: int) -> "Iterator[tuple[int, int, int, bytearray]]":
        """(kind, waiting, at, body) of each record up to what can be none; `at` is the body's, a torn one is kind 0."""
        at = _HEADER_BYTES + _HEAD_BYTES
        while at <= SECTOR_BYTES:
            head = self._read(sector, at - _HEAD_BYTES, _HEAD_BYTES)
            checksum, length, kind, waiting = struct.unpack(">IHBB", head)
            if at + length > SECTOR_BYTES:
                return
            body = self._read(sector, at, length)
            whole = binascii.crc32(body, binascii.crc32(head[4:7])) & 0xFFFFFFFF == checksum
            yield kind if whole else 0, waiting, at, body
            at += length + _HEAD_BYTES

    def _is_erased(self, sector: int, at: int) -> bool:
        while at < SECTOR_BYTES:
            length = min(256, SECTOR_BYTES - at)
            if self._read(sector, at, length) != b"\xff" * length:
                return False
            at += length
        return True

    # START

    def _scan(self) -> None:
        """Read all of it once, sector after sector in their order."""
        sectors = self._sectors
        newest = unreadable = 0
        for sector in range(sectors):
            header = self._header(sector)
            if header is None:
                unreadable += 1
            elif header[7] != 0xFF and header[0] > newest:
                newest, self.dropped, self._gone = header[0], header[3], (header[4], header[5])
        self._number = newest
        self.lost = unreadable > 0 and newest == 0
        if newest == 0:
            return
        for number in range(max(1, newest - sectors + 2), newest + 1):
            header = self._header(number % sectors)
            if header is None or header[0] != number or header[7] == 0xFF:
                self.damaged += 1
            else:
                self._count_to(header[1], header[2])
                self.enrolled = self.enrolled or header[6] == 1
                self._walk(number % sectors)
        # A free sector is erased before it is used, whatever is in it; but perhaps it was the newest.
        if self._header((newest + 1) % sectors) is None:
            self.damaged += 1
            self._at = -1
        else:
            self._flash.writeblocks(newest % sectors, b"\0", _OPEN_AT)  # perhaps it was half cleared
        if self._at < 0:
            self._at = SECTOR_BYTES
            self._count_to(self.boot + _BOOTS_MAX * max(1, unreadable), 0)

    def _walk(self, sector: int) -> None:
        torn = False
        end = _HEADER_BYTES
        for kind, waiting, at, body in self._records(sector):
            if torn and kind:
                self.damaged += 1  # a power cut tears the last one only
            torn = kind == 0
            end = at + len(body)
            if kind == 83:
                self._count_to(*struct.unpack(">II", body[:8]))
                if self._waits(waiting, body):
                    self._hold(_statement(sector, at, body))
            elif kind == 66:
                self._count_to(struct.unpack(">I", body)[0], 0)
            elif kind == 69:
                self.enrolled = True
            elif kind:
                self._take_note(bytes((kind,)), bytes(body), sector)
        self._at = end if not torn and self._is_erased(sector, end) else -1

    def _count_to(self, boot: int, seq: int) -> None:
        if (boot, seq) > (self.boot, self.seq):
            self.boot, self.seq = boot, seq

    def _take_note(self, kind: bytes, body: bytes, sector: int) -> None:
        if kind == b"X":
            length = struct.unpack(">H", body[:2])[0]
            self.evidence = (body[2 : 2 + length], body[2 + length :])
        elif kind in NOTES:
            self.notes[kind] = body
        else:
            return  # of a later version
        self._places[kind] = sector

    # THE WINDOW

    def _hold(self, held: Pending) -> None:
        """One more waits. It is the newest, except at the start."""
        self._bytes += held.length
        self.waiting += 1
        self._insert(held)
        pending = self.pending
        if self._behind and pending[-1] is held:
            self._tail += 1
        if self._tail > NEWEST:
            back = pending.pop(len(pending) - self._tail)
            self._tail -= 1
        elif len(pending) > self._window:
            if not self._behind:
                self._tail = NEWEST
            back = pending.pop(len(pending) - self._tail - 1)
        else:
            return
        number = self._number - (self._number - back.at // SECTOR_BYTES) % self._sectors
        self._behind = min(self._behind or number, number)

    def _insert(self, held: Pending) -> None:
        at = len(self.pending)
        while at and (self.pending[at - 1].boot, self.pending[at - 1].seq) > (held.boot, held.seq):
            at -= 1
        self.pending.insert(at, held)

    def _refill(self) -> None:
        """Take the oldest that are not at hand."""
        enough = self._window - NEWEST
        while self._behind and len(self.pending) - self._tail < enough:
            for held in self._live(self._behind % self._sectors):
                if len(self.pending) - self._tail >= enough:
                    return
                if held.at not in [one.at for one in self.pending]:
                    self._insert(held)
            self._behind += 1
            if self._behind > self._number or self.waiting <= len(self.pending):
                self._behind = self._tail = 0
                self.waiting = len(self.pending)
                self._bytes = sum([held.length for held in self.pending])

    def _live(self, sector: int) -> "list[Pending]":
        return [
            _statement(sector, at, body)
            for kind, waiting, at, body in self._records(sector)
            if kind == 83 and self._waits(waiting, body)
        ]

    def _waits(self, waiting: int, body: bytearray) -> bool:
        return waiting == 0xFF and struct.unpack(">II", body[:8]) > self._gone

    def _forget(self, held: Pending, code: int) -> None:
        if held in self.pending[len(self.pending) - self._tail :]:
            self._tail -= 1
        self.pending.remove(held)
        self.waiting -= 1
        self._bytes -= held.length
        self.settled[code] = self.settled.get(code, 0) + 1

    # THE RING

    def _append(self, kind: bytes, body: bytes) -> int:
        """Durable on return; the place of the body."""
        data = record(kind, body)
        if self._broken:
            raise OSError(5)
        opened = 0
        while self._at + len(data) > SECTOR_BYTES:
            if opened == self._sectors:
                raise OSError(28)
            self._open()
            opened += 1
        sector, at = self._number % self._sectors, self._at
        try:
            self._program(sector, at, data)
        except OSError:
            # It must not be found whole one day, when another statement has got its number.
            self._at = SECTOR_BYTES
            self._broken = True
            self._program(sector, at, bytes(4))
            self._broken = False
            raise
        self._at += len(data)
        return sector * SECTOR_BYTES + at + _HEAD_BYTES

    def _open(self) -> None:
        """Begin the next sector, and be done with the oldest."""
        if self.lost:
            self.clear()  # what is there by chance could pass for a sector that was damaged
        self._at = SECTOR_BYTES
        number = self._number + 1
        oldest = number + 1 - self._sectors
        sector, leaving = number % self._sectors, (number + 1) % self._sectors
        self._refill()
        waits = self._live(leaving) if oldest > 0 else []
        carried = [held for held in self.pending if oldest > 0 and held.at // SECTOR_BYTES == leaving]
        places = [held.at for held in carried]
        away = [held for held in waits if held.at not in places]
        going: "list[Pending]" = []
        gone = self._gone
        if away or (waits and 2 * self._bytes > (self._sectors - 1) * SECTOR_BYTES):
            gone = max([(held.boot, held.seq) for held in waits])
            going = [held for held in self.pending if (held.boot, held.seq) <= gone]
            carried = []
        dropped = self.dropped + len(going) + len(away)
        if self._flash.ioctl(6, sector):
            raise OSError(5)
        enrolled = 1 if self.enrolled else 0
        header = struct.pack(_HEADER, _MAGIC, number, self.boot, self.seq, dropped, gone[0], gone[1], enrolled)
        self._program(sector, 0, header + struct.pack(">I", binascii.crc32(header) & 0xFFFFFFFF))
        at = _HEADER_BYTES
        notes = [kind for kind in self._places if oldest > 0 and self._places[kind] == leaving]
        for kind in notes:
            data = record(kind, self._note(kind))
            self._program(sector, at, data)
            at += len(data)
        places = []
        for held in carried:
            before = _HEAD_BYTES + _STATEMENT_HEAD
            copy = bytes(self._read(leaving, held.at % SECTOR_BYTES - before, before + held.length))
            self._program(sector, at, copy)
            places.append(sector * SECTOR_BYTES + at + before)
            at += len(copy)
        try:
            self._program(sector, _OPEN_AT, b"\0")
        except OSError:
            if self._read(sector, _OPEN_AT, 1) == b"\xff":
                raise  # else it was done, or half done, which is the same
        self._number = number
        self._at = at
        for kind in notes:
            self._places[kind] = sector
        for index, held in enumerate(carried):
            held.at = places[index]
        for held in going:
            self._forget(held, codes.DROPPED)
        if away:
            self.waiting -= len(away)
            self._bytes -= sum([held.length for held in away])
            self.settled[codes.DROPPED] = self.settled.get(codes.DROPPED, 0) + len(away)
        self.dropped = dropped
        self._gone = gone
        if self._behind and self._behind <= oldest:
            self._behind = oldest + 1
        self._refill()

    def _note(self, kind: bytes) -> bytes:
        if kind != b"X":
            return self.notes[kind]
        first, second = self.evidence  # type: ignore[misc]
        return struct.pack(">H", len(first)) + first + second

    # AS THE OTHER OUTBOX

    def begin_boot(self) -> int:
        """Count this boot, durably, before its first statement."""
        self._append(b"B", struct.pack(">I", self.boot + 1))
        self._count_to(self.boot + 1, 0)
        return self.boot

    def add(self, seq: int, statement_id: bytes, kind: int, message: bytes) -> Pending:
        """Keep a statement of this boot, durable on return. Without room the oldest are dropped, and counted."""
        body = struct.pack(">II", self.boot, seq) + statement_id[:8] + bytes((kind,))
        at = self._append(b"S", body + message) + _STATEMENT_HEAD
        pending = Pending(self.boot, seq, statement_id[:8], kind, at, len(message))
        self.seq = seq
        self._hold(pending)
        return pending

    @property
    def newest(self) -> "Pending | None":
        """The newest statement that waits, if it is at hand."""
        return self.pending[-1] if self.pending and (self._tail or not self._behind) else None

    def limit(self, records_max: int) -> None:
        """Hold no more statements in memory than these from now on."""
        self._window = max(2 * NEWEST, min(self._window, records_max))

    def find(self, boot: int, seq: int, id8: bytes) -> "Pending | None":
        """Of those at hand: others are not under way."""
        for held in self.pending:
            if (held.boot, held.seq, held.id8) == (boot, seq, id8):
                return held
        return None

    def message(self, pending: Pending) -> bytes:
        return bytes(self._read(pending.at // SECTOR_BYTES, pending.at % SECTOR_BYTES, pending.length))

    def settle(self, pending: Pending, code: int) -> None:
        """Forget a statement."""
        if pending not in self.pending:
            return  # dropped since
        place = pending.at - _STATEMENT_HEAD - 1
        try:
            self._program(place // SECTOR_BYTES, place % SECTOR_BYTES, b"\0")
        except OSError:
            pass  # after the next start it is sent once more and receipted once more
        self._forget(pending, code)
        if 2 * (len(self.pending) - self._tail) <= self._window - NEWEST:
            self._refill()

    def set_enrolled(self) -> None:
        self._append(b"E", b"")
        self.enrolled = True

    def keep_evidence(self, first: bytes, second: bytes) -> None:
        """Keep two beacons that contradict each other; the first pair is enough."""
        if self.evidence is None:
            body = struct.pack(">H", len(first)) + first + second
            self._take_note(b"X", body, self._append(b"X", body) // SECTOR_BYTES)

    def note(self, kind: bytes, body: bytes, durable: bool) -> None:
        """Keep a note over the one of its kind. Here it is always durable."""
        self._take_note(kind, body, self._append(kind, body) // SECTOR_BYTES)

    def clear(self) -> None:
        """Make it empty, for another key: the old one must be gone before. The newest sector goes last."""
        for number in range(self._number + 1, self._number + 1 + self._sectors):
            if self._flash.ioctl(6, number % self._sectors):
                raise OSError(5)
        self._forget_all()


def record(kind: bytes, body: bytes) -> bytes:
    framed = struct.pack(">H", len(body)) + kind
    checksum = binascii.crc32(body, binascii.crc32(framed)) & 0xFFFFFFFF
    return struct.pack(">I", checksum) + framed + b"\xff" + body


def _statement(sector: int, at: int, body: bytearray) -> Pending:
    boot, seq = struct.unpack(">II", body[:8])
    place = sector * SECTOR_BYTES + at + _STATEMENT_HEAD
    return Pending(boot, seq, bytes(body[8:16]), body[16], place, len(body) - _STATEMENT_HEAD)
