"""One epoch as it is shown: what it emitted, where that went, and why devices earned less."""

from typing import NamedTuple

from .views import EpochView


class ReasonCount(NamedTuple):
    """How many devices of the epoch a reason applied to."""

    code: str
    devices: int


class PostedView(NamedTuple):
    """All postings of the epoch under one code; `amount` in base units."""

    code: str
    postings: int
    amount: int


class EpochDetailView(NamedTuple):
    """`state` is open, closing (its last beacon has gone, late statements still count) or closed. `missing` is what
    does not add up of emission = paid + treasury, and must be 0. Reasons: those of most devices first."""

    epoch: EpochView
    state: str
    missing: int
    reasons: list[ReasonCount]
    posted: list[PostedView]
    parameters: list[tuple[str, int]]  # those that are numbers, by name


class DayView(NamedTuple):
    """Rewards of the closed epochs that ended on a day of UTC; amounts in base units, as those of payouts."""

    day: int  # Unix seconds at which it began
    first: int
    last: int
    presence: int
    sensing: int
    owner_cap: int
    paid: int
