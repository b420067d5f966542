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


class Chain:
    """Chain of one boot; `first_slot` is the slot in which the boot was first received, `high` its highest number."""

    __slots__ = ("first_slot", "gaps", "high", "ids", "lost")

    def __init__(self, first_slot: int) -> None:
        self.first_slot = first_slot
        self.high = 0
        self.ids: dict[int, bytes] = {}
        self.gaps: list[tuple[int, int, bytes]] = []  # first, last, id that `last` must have
        self.lost = 0  # missing numbers whose range had to be given up

    def place(self, seq: int, id8: bytes, prev8: bytes) -> Place:
        """Where the statement belongs, without adding it."""
        if seq > self.high:
            follows = seq == self.high + 1 and seq > 1
            return Place.FORK if follows and self.ids[self.high] != prev8 else Place.NEW
        held = self.ids.get(seq)
        if held is not None:
            return Place.SEEN if held == id8 else Place.FORK
        gap = self._gap_of(seq)
        if gap is None:
            return Place.OUT_OF_WINDOW
        if seq == gap[1] and gap[2] != id8:
            return Place.FORK
        before = self.ids.get(seq - 1)
        return Place.FORK if before is not None and before != prev8 else Place.FILLS_GAP

    def add(self, seq: int, id8: bytes, prev8: bytes) -> Place:
        """Add the statement if it is NEW or FILLS_GAP; anything else changes nothing."""
        place = self.place(seq, id8, prev8)
        if place is Place.NEW:
            if seq > self.high + 1:
                self._open_gap(self.high + 1, seq - 1, prev8)
            self.high = seq
            self.ids[seq] = id8
            self._forget_below(seq - WINDOW + 1)
        elif place is Place.FILLS_GAP:
            self._fill(seq, prev8)
            if seq > self.high - WINDOW:
                self.ids[seq] = id8
        return place

    @property
    def missing(self) -> int:
        return self.lost + sum(last - first + 1 for first, last, _ in self.gaps)

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

    def _forget_below(self, seq: int) -> None:
        for old in [held for held in self.ids if held < seq]:
            del self.ids[old]

    def pack(self) -> tuple[int, int, int, bytes, bytes]:
        """(first_slot, high, lost, ids, gaps): a row of the chains table, without its key."""
        low = max(1, self.high - WINDOW + 1)
        ids = b"".join(self.ids.get(seq, _NONE) for seq in range(low, self.high + 1))
        return self.first_slot, self.high, self.lost, ids, b"".join(_GAP.pack(*gap) for gap in self.gaps)

    @classmethod
    def unpack(cls, first_slot: int, high: int, lost: int, ids: bytes, gaps: bytes) -> "Chain":
        chain = cls(first_slot)
        chain.high = high
        chain.lost = lost
        low = max(1, high - WINDOW + 1)
        for index in range(len(ids) // ID8):
            id8 = ids[index * ID8 : index * ID8 + ID8]
            if id8 != _NONE:
                chain.ids[low + index] = id8
        chain.gaps = [(first, last, expected) for first, last, expected in _GAP.iter_unpack(gaps)]
        return chain
