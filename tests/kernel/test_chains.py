"""The chain of a boot against an oracle that forgets nothing."""

import hashlib
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.chains import GAPS_MAX, WINDOW, Chain, Place


class Said(NamedTuple):
    id8: bytes
    prev8: bytes


class Oracle:
    """Keeps every statement. Missing numbers form runs; only the newest eight runs may still be filled."""

    def __init__(self) -> None:
        self.held: dict[int, Said] = {}
        self.given_up: set[int] = set()

    @property
    def high(self) -> int:
        return max(self.held, default=0)

    @property
    def missing(self) -> set[int]:
        return set(range(1, self.high)) - self.held.keys()

    def remembers(self, seq: int) -> bool:
        return seq in self.held and seq > self.high - WINDOW

    def place(self, seq: int, said: Said) -> Place:
        before, after = self.held.get(seq - 1), self.held.get(seq + 1)
        if seq > self.high:
            return Place.FORK if before and before.id8 != said.prev8 else Place.NEW
        if seq in self.held:
            if not self.remembers(seq):
                return Place.OUT_OF_WINDOW
            return Place.SEEN if self.held[seq].id8 == said.id8 else Place.FORK
        if seq in self.given_up:
            return Place.OUT_OF_WINDOW
        if after and after.prev8 != said.id8:
            return Place.FORK
        if before and self.remembers(seq - 1) and before.id8 != said.prev8:
            return Place.FORK
        return Place.FILLS_GAP

    def add(self, seq: int, said: Said) -> Place:
        place = self.place(seq, said)
        if place in (Place.NEW, Place.FILLS_GAP):
            self.held[seq] = said
            for run in self.runs()[:-GAPS_MAX]:
                self.given_up.update(run)
        return place

    def runs(self) -> list[list[int]]:
        found: list[list[int]] = []
        for seq in sorted(self.missing - self.given_up):
            if found and found[-1][-1] == seq - 1:
                found[-1].append(seq)
            else:
                found.append([seq])
        return found


def id_of(seq: int, holder: int) -> bytes:
    return hashlib.sha256(f"{seq}/{holder}".encode()).digest()[:8]


def said(seq: int, holder: int = 0, before: int = 0) -> Said:
    return Said(id_of(seq, holder), id_of(seq - 1, before) if seq > 1 else b"")


# How far from the newest number a statement stands: mostly next to it, sometimes behind or beyond the window.
steps = st.sampled_from([1, 1, 1, 2, 3, 0, -1, -2, -3, -5, -20, -62, -63, -64, -65, -80, 10, 63, 64, 65, 200])
holders = st.sampled_from([0] * 12 + [1])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(steps, holders, holders), max_size=120))
def test_places_as_an_oracle_that_forgets_nothing(moves: list[tuple[int, int, int]]) -> None:
    chain, oracle = Chain(5), Oracle()
    for step, holder, before in moves:
        seq = max(1, oracle.high + step)
        one = said(seq, holder, before)
        assert chain.place(seq, *one) is oracle.place(seq, one)
        assert chain.add(seq, *one) is oracle.add(seq, one)
        assert chain.high == oracle.high
        assert chain.missing == len(oracle.missing)
        assert [(first, last) for first, last, _ in chain.gaps] == [(run[0], run[-1]) for run in oracle.runs()]
        chain = Chain.unpack(*chain.pack())


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(1, 13)))
def test_one_honest_holder_never_forks_in_any_order(order: list[int]) -> None:
    chain = Chain(0)
    places = [chain.add(seq, *said(seq)) for seq in order]
    assert Place.FORK not in places and Place.SEEN not in places
    assert chain.missing == places.count(Place.OUT_OF_WINDOW)


def filled(numbers: list[int]) -> Chain:
    chain = Chain(0)
    for seq in numbers:
        chain.add(seq, *said(seq))
    return chain


def test_window_is_64_wide() -> None:
    chain = filled(list(range(1, 101)))
    assert chain.place(37, *said(37)) is Place.SEEN
    assert chain.place(37, *said(37, holder=1)) is Place.FORK
    assert chain.place(36, *said(36)) is Place.OUT_OF_WINDOW


def test_a_gap_may_be_filled_however_old_it_is() -> None:
    chain = filled([1, 500])
    assert chain.add(2, *said(2)) is Place.FILLS_GAP
    assert chain.add(499, *said(499)) is Place.FILLS_GAP
    assert chain.missing == 496


def test_the_successor_says_who_belongs_into_a_gap() -> None:
    chain = filled([1, 4])
    assert chain.place(3, *said(3, holder=1)) is Place.FORK
    assert chain.place(2, *said(2, holder=1)) is Place.FILLS_GAP  # nobody has spoken for 2 yet
    assert chain.place(2, *said(2, before=1)) is Place.FORK  # but 1 is held, and this one follows another


def test_eight_gaps_stay_open_and_the_oldest_is_lost() -> None:
    numbers = list(range(1, 2 * GAPS_MAX + 2, 2))
    assert filled(numbers).place(2, *said(2)) is Place.FILLS_GAP
    chain = filled([*numbers, numbers[-1] + 2])
    assert chain.place(2, *said(2)) is Place.OUT_OF_WINDOW
    assert (chain.lost, chain.missing) == (1, GAPS_MAX + 1)


def test_what_is_not_added_changes_nothing() -> None:
    chain = filled([1, 2, 5])
    before = chain.pack()
    for seq, one in ((2, said(2)), (2, said(2, 1)), (4, said(4, 1)), (6, said(6, 0, 1))):
        assert chain.add(seq, *one) in (Place.SEEN, Place.FORK)
        assert chain.pack() == before
