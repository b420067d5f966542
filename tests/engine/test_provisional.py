"""Estimates of an open epoch: the rules of the pay, the last epoch for the rest, never more than there is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.derivation import Rates
from coordinator.engine.provisional import (
    MONTH_S,
    Basis,
    SoFar,
    estimated,
    joined_window,
    month,
    windows_over,
)
from coordinator.kernel.amounts import PPM, split
from coordinator.kernel.epochs import Calendar

CALENDAR = Calendar(10, 1, 12, 2, 60)
RATES = Rates(presence_ppm=500_000, owner_cap_ppm=PPM, vetting_epochs=2, withheld_ppm=250_000, late_ppm=500_000)
E = 1_000_000_000_007


def so_far(**changed: Any) -> SoFar:
    values: dict[str, Any] = {
        "device": b"d" * 16,
        "windows": 12,
        "over": 6,
        "joined": 0,
        "present": 6,
        "measured": 6,
        "late": 0,
        "stuck": False,
        "in_good_standing": True,
        "enrolled_epoch": 0,
        "presence_ppm": PPM,
        "sensing_ppm": PPM,
    }
    return SoFar(**(values | changed))


def one(whole: bool = True, rates: Rates = RATES, **changed: Any) -> Any:
    return estimated(5, E, rates, [so_far(**changed)], Basis(4, 4 * PPM, 2 * PPM), whole)[0]


def test_who_goes_on_as_before_gets_what_the_split_gives() -> None:
    assert (one().presence, one().sensing) == (split(E // 2, [1, 3])[0], (E - E // 2) // 2)
    half = one(whole=False)
    assert (half.presence, half.sensing) == (E // 2 // 8, (E - E // 2) // 4)
    assert one(over=12, present=12, measured=12, whole=False) == one(over=12, present=12, measured=12)


@pytest.mark.parametrize(
    ("changed", "presence_weight", "sensing_weight"),
    [
        ({"present": 3, "measured": 3}, PPM // 2, PPM // 2),  # goes on being up half of the time
        ({"present": 0, "measured": 0}, 0, 0),
        ({"stuck": True}, PPM, 0),
        ({"in_good_standing": False}, 0, 0),
        ({"joined": 3, "present": 3, "measured": 3}, 9 * PPM // 12, 9 * PPM // 12),  # was not here for three windows
        ({"joined": 12, "present": 0, "measured": 0}, 0, 0),
        ({"over": 0, "present": 0, "measured": 0}, 0, 0),  # nothing is known yet
        ({"measured": 0, "late": 24}, PPM, PPM),  # late ones count half, and never more than the whole
        ({"present": 7, "over": 6}, PPM, PPM),  # the window that runs is marked already
    ],
)
def test_weights(changed: dict[str, Any], presence_weight: int, sensing_weight: int) -> None:
    found = one(**changed)
    assert found.presence == E // 2 * presence_weight // (3 * PPM + presence_weight)
    assert found.sensing == (E - E // 2) * sensing_weight // (PPM + sensing_weight)


def test_cap_and_vetting_as_in_the_pay() -> None:
    capped = RATES._replace(owner_cap_ppm=100_000)
    both = [so_far(device=bytes([n]) * 16, enrolled_epoch=n * 4) for n in range(2)]
    found = estimated(5, E, capped, both, Basis(4, 4 * PPM, 4 * PPM), True)
    assert sum(each.paid for each in found) == E * 100_000 // PPM
    assert all(each.paid == each.presence + each.sensing - each.owner_cap for each in found)
    assert [each.withheld for each in found] == [0, found[1].paid // 4]


def test_no_weight_in_the_network_is_no_share() -> None:
    nothing = estimated(
        0, E, RATES, [so_far(present=0, measured=0, presence_ppm=0, sensing_ppm=0)], Basis(0, 0, 0), True
    )
    assert (nothing[0].presence, nothing[0].sensing, nothing[0].paid) == (0, 0, 0)


windows = st.integers(0, 12)


@given(
    st.lists(st.tuples(windows, windows, windows, windows, st.integers(0, 30), st.booleans()), max_size=6),
    st.integers(0, 20 * PPM),
    st.booleans(),
)
def test_never_more_than_there_is(rows: list[tuple[Any, ...]], others: int, whole: bool) -> None:
    devices = [
        so_far(
            device=bytes([at]) * 16,
            over=over,
            joined=joined,
            present=present,
            measured=measured,
            late=late,
            stuck=stuck,
        )
        for at, (over, joined, present, measured, late, stuck) in enumerate(rows)
    ]
    found = estimated(3, E, RATES, devices, Basis(2, others, others), whole)
    assert sum(each.paid for each in found) <= E
    assert all(0 <= each.withheld <= each.paid == each.presence + each.sensing - each.owner_cap for each in found)
    if not whole:
        final = estimated(3, E, RATES, devices, Basis(2, others, others), True)
        assert all(now.presence <= end.presence for now, end in zip(found, final, strict=True))


def test_windows_and_months() -> None:
    assert [windows_over(CALENDAR, 1, 25, slot) for slot in (11, 13, 14, 17, 22, 23, 99)] == [0, 0, 1, 2, 3, 4, 4]
    assert [joined_window(CALENDAR, 1, 10, slot) for slot in (3, 12, 17, 24)] == [0, 0, 5, 12]
    assert month(70, 7, MONTH_S // 10) == 100
