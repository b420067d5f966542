"""The split of a pool against fractions, and amounts as text."""

from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.kernel.amounts import AMOUNT_MAX, PPM, TOKEN, share_ppm, split, tokens

pools = st.integers(0, AMOUNT_MAX)
weights = st.lists(st.integers(0, 10**12) | st.integers(0, 3), max_size=60)


@settings(max_examples=300, deadline=None)
@given(pools, weights)
@example(10**12, [PPM] * 3)
@example(1, [1] * 50)
@example(AMOUNT_MAX, [AMOUNT_MAX] * 5)
def test_each_share_is_the_difference_of_two_rounded_prefixes(pool: int, weights: list[int]) -> None:
    shares = split(pool, weights)
    total = sum(weights)
    if total == 0:
        assert shares == [0] * len(weights)
        return
    bounds = [int(Fraction(pool * prefix, total)) for prefix in [0, *accumulate(weights)]]
    assert shares == [after - before for before, after in pairwise(bounds)]


@settings(max_examples=300, deadline=None)
@given(pools, weights.filter(any))
def test_shares_sum_to_the_pool_and_are_less_than_a_unit_off(pool: int, weights: list[int]) -> None:
    shares = split(pool, weights)
    assert sum(shares) == pool
    for share, weight in zip(shares, weights, strict=True):
        assert share >= 0
        assert abs(share - Fraction(pool * weight, sum(weights))) < 1
        assert share == 0 or weight > 0


@given(pools, st.integers(1, 10**9), st.integers(1, 40))
def test_equal_weights_differ_by_one_unit_at_most(pool: int, weight: int, count: int) -> None:
    shares = split(pool, [weight] * count)
    assert max(shares) - min(shares) <= 1


def test_products_beyond_64_bits() -> None:
    # In 64-bit integers this paid 5,421 negative shares: 10^12 units over 100,000 devices of weight 10^6.
    shares = split(10**12, [10**6] * 100_000)
    assert shares == [10**7] * 100_000


def test_nobody_to_pay() -> None:
    assert split(5, []) == []
    assert split(5, [0, 0]) == [0, 0]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (TOKEN, "1.000000000"),
        (1_500_000_000, "1.500000000"),
        (-1_500_000_001, "-1.500000001"),
        (AMOUNT_MAX, "9223372036.854775807"),
    ],
)
def test_amounts_as_text(amount: int, text: str) -> None:
    assert tokens(amount) == text


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX))
def test_text_loses_nothing(amount: int) -> None:
    assert Fraction(tokens(amount)) * TOKEN == amount


@given(pools, st.integers(0, PPM))
def test_parts_in_millionths_round_down(amount: int, ppm: int) -> None:
    assert share_ppm(amount, ppm) == int(Fraction(amount * ppm, PPM))
