"""The chain of statements of one boot of one device: gaps, replays and copied keys, told apart.

Every statement carries its number and half of its predecessor's id. Held are the ids of the newest 64 numbers and the
ranges of numbers that are missing, each with the id that its last member must have (its successor said so). So a number
is new, fills a gap, was seen before, or contradicts what is held: then two holders of one key have signed.
"""

import struct
from enum import Enum

WINDOW = 64
GAPS_MAX = 8
ID8 = 8
_GAP = struct.Struct(">II8s")
_NONE = bytes(ID8)


class Place(Enum):
    """Where a statement belongs in its chain."""

    NEW = "new"
    FILLS_GAP = "fills_gap"
    SEEN = "seen"
    FORK = "fork"
    OUT_OF_WINDOW = "out_of_window"


Mark = tuple[int, int, bytes, tuple[tuple[int, int, bytes], ...]]


class Chain:
    """Chain of one boot; `first_slot` is the slot in which the boot was first received, `high` its highest number."""

    __slots__ = ("_ids", "first_slot", "gaps", "high", "lost")

    def __init__(self, first_slot: int) -> None:
        self.first_slot = first_slot
        self.high = 0
        # Number n at n modulo 64: a million devices cannot afford a dictionary each. Zeros stand for none.
        self._ids = bytearray(WINDOW * ID8)
        self.gaps: list[tuple[int, int, bytes]] = []  # first, last, id that `last` must have
        self.lost = 0  # missing numbers whose range had to be given up

    def place(self, seq: int, id8: bytes, prev8: bytes) -> Place:
        """Where the statement belongs, without adding it."""
        high = self.high
        if seq > high:
            if seq > high + 1 or seq == 1:
                return Place.NEW
            at = high % WINDOW * ID8
            return Place.NEW if self._ids[at : at + ID8] == prev8 else Place.FORK
        held = self._held(seq)
        if held is not None:
            return Place.SEEN if held == id8 else Place.FORK
        gap = self._gap_of(seq)
        if gap is None:
            return Place.OUT_OF_WINDOW
        if seq == gap[1] and gap[2] != id8:
            return Place.FORK
        before = self._held(seq - 1)
        return Place.FORK if before is not None and before != prev8 else Place.FILLS_GAP

    def add(self, seq: int, id8: bytes, prev8: bytes) -> Place:
        """Add the statement if it is NEW or FILLS_GAP; anything else changes nothing."""
        place = self.place(seq, id8, prev8)
        self.put(place, seq, id8, prev8)
        return place

    def put(self, place: Place, seq: int, id8: bytes, prev8: bytes) -> None:
        """Add a statement at the place that `place` has just found."""
        if place is Place.NEW:
            missing = seq - self.high - 1
            if missing:
                self._open_gap(self.high + 1, seq - 1, prev8)
                for skipped in range(max(self.high + 1, seq - WINDOW), seq):
                    self._hold(skipped, _NONE)
            self.high = seq
            self._hold(seq, id8)
        elif place is Place.FILLS_GAP:
            self._fill(seq, prev8)
            if seq > self.high - WINDOW:
                self._hold(seq, id8)

    @property
    def missing(self) -> int:
        return self.lost + sum(last - first + 1 for first, last, _ in self.gaps)

    def mark(self) -> Mark:
        """All that `add` changes, for `rewind`."""
        return self.high, self.lost, bytes(self._ids), tuple(self.gaps)

    def rewind(self, mark: Mark) -> None:
        self.high, self.lost, self._ids, self.gaps = mark[0], mark[1], bytearray(mark[2]), list(mark[3])

    def _held(self, seq: int) -> bytes | None:
        if not seq > 0 or seq <= self.high - WINDOW:
            return None
        at = seq % WINDOW * ID8
        found = bytes(self._ids[at : at + ID8])
        return None if found == _NONE else found

    def _hold(self, seq: int, id8: bytes) -> None:
        at = seq % WINDOW * ID8
        self._ids[at : at + ID8] = id8

    def _gap_of(self, seq: int) -> tuple[int, int, bytes] | None:
        return next((gap for gap in self.gaps if gap[0] <= seq <= gap[1]), None)

    def _open_gap(self, first: int, last: int, expected: bytes) -> None:
        self.gaps.append((first, last, expected))
        self._limit_gaps()

    def _fill(self, seq: int, prev8: bytes) -> None:
        gap = self._gap_of(seq)
        assert gap is not None, "only a number in a gap can fill it"
        first, last, expected = gap
        at = self.gaps.index(gap)
        parts = []
        if first < seq:
            parts.append((first, seq - 1, prev8))
        if seq < last:
            parts.append((seq + 1, last, expected))
        self.gaps[at : at + 1] = parts
        self._limit_gaps()

    def _limit_gaps(self) -> None:
        while len(self.gaps) > GAPS_MAX:
            first, last, _ = self.gaps.pop(0)
            self.lost += last - first + 1

    def pack(self) -> tuple[int, int, int, bytes, bytes]:
        """(first_slot, high, lost, ids, gaps): a row of the chains table, without its key."""
        if self.high < WINDOW:
            ids = bytes(self._ids[ID8 : (self.high + 1) * ID8])
        else:
            oldest = (self.high + 1) % WINDOW * ID8
            ids = bytes(self._ids[oldest:] + self._ids[:oldest])
        return self.first_slot, self.high, self.lost, ids, b"".join(_GAP.pack(*gap) for gap in self.gaps)

    @classmethod
    def unpack(cls, first_slot: int, high: int, lost: int, ids: bytes, gaps: bytes) -> "Chain":
        chain = cls(first_slot)
        chain.high = high
        chain.lost = lost
        if high < WINDOW:
            chain._ids[ID8 : ID8 + len(ids)] = ids
        else:
            oldest = (high + 1) % WINDOW * ID8
            chain._ids[oldest:] = ids[: len(ids) - oldest]
            chain._ids[:oldest] = ids[len(ids) - oldest :]
        chain.gaps = [(first, last, expected) for first, last, expected in _GAP.iter_unpack(gaps)]
        return chain
