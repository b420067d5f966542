"""Money: int64 base units with 9 decimals, and the exact split of a pool by integer weights."""

import re
from collections.abc import Sequence
from itertools import accumulate

DECIMALS = 9
TOKEN = 10**DECIMALS
AMOUNT_MAX = 2**63 - 1
PPM = 1_000_000


def tokens(amount: int) -> str:
    """Base units as decimal text, all nine decimals: 1500000000 -> '1.500000000'."""
    whole, part = divmod(abs(amount), TOKEN)
    return f"{'-' if amount < 0 else ''}{whole}.{part:0{DECIMALS}d}"


def base_units(text: str) -> int:
    """Decimal text as base units, exactly: '1.5' -> 1500000000. Raises ValueError for what is no amount above zero."""
    found = re.fullmatch(rf"([0-9]{{1,10}})(?:\.([0-9]{{1,{DECIMALS}}}))?", text)
    amount = int(found[1]) * TOKEN + int((found[2] or "").ljust(DECIMALS, "0")) if found else 0
    if not 1 <= amount <= AMOUNT_MAX:
        raise ValueError(f"is not a number of tokens from {tokens(1)} to {tokens(AMOUNT_MAX)}")
    return amount


def split(pool: int, weights: Sequence[int]) -> list[int]:
    """`pool` base units by non-negative weights, in their order: pay_i = floor(E*C_i/W) - floor(E*C_(i-1)/W).

    The sum is exact and no share is off by a whole unit, without sorting; equal weights may differ by one unit. The
    products exceed 64 bits, which Python integers do not mind. All zero where all weights are zero.
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    bounds = [pool * prefix // total for prefix in accumulate(weights)]
    shares = [upper - lower for lower, upper in zip([0, *bounds], bounds, strict=False)]
    assert all(share >= 0 for share in shares), "a negative share"
    assert sum(shares) == pool, "the split does not sum to the pool"
    return shares


def share_ppm(amount: int, ppm: int) -> int:
    """`ppm` millionths of an amount, rounded down."""
    return amount * ppm // PPM
