"""Which part of something signed or hashed was changed: the one that makes it hold again when it is put back.

A signature or a hash says only that something is wrong. But most parts are known from elsewhere, or from a short range,
so each is tried in turn. What cannot be tried is named by elimination, and the text says so.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

TRIES_MAX = 65_536  # of one part


class Fault(NamedTuple):
    """A part of a file, and what is wrong with it."""

    field: str
    what: str


# What hostile bytes make of pure code that looks for the part: then the first finding stands.
STRANGE = (ValueError, AssertionError, LookupError, TypeError, AttributeError, OverflowError, struct.error)


def attempted(look: Callable[..., Fault | None], *arguments: Any) -> Fault | None:
    """What `look` finds; None for whatever it stumbles over."""
    try:
        return look(*arguments)
    except STRANGE:
        return None


def part_of(candidates: Mapping[str, Iterable[Any]], holds: Callable[[str, Any], bool]) -> str:
    """The first part of which a candidate makes it hold; empty when none does."""
    for name, values in candidates.items():
        if any(holds(name, value) for value in islice(values, TRIES_MAX)):
            return name
    return ""


def near(value: int, reach: int, low: int = 0) -> Iterator[int]:
    """Whole numbers around a value, the nearest first."""
    for step in range(1, reach + 1):
        yield value + step
        if value - step >= low:
            yield value - step
