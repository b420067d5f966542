"""What `/api/v1/events` tells, as types."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .models import Epoch
from .problem import bad_answer
from .typed import typed


class Beacon(NamedTuple):
    """With every beacon, and first of all: where the network is."""

    beacon: int
    beacon_time: int
    beacon_interval_s: int
    epoch: int
    epoch_beacons: int
    refusals: dict[str, int]


class Totals(NamedTuple):
    """When the stores hold a new batch."""

    batches: int
    statements: int
    devices: int
    quarantined: int
    owners: int
    paid: int
    paid_tokens: str
    treasury: int
    treasury_tokens: str


Event = Beacon | Totals | Epoch  # an epoch when it has closed
KINDS: dict[str, type[Any]] = {"beacon": Beacon, "batch": Totals, "epoch": Epoch}
LINES_MAX = 64  # of one event


def events(lines: Iterable[str], parsed: Any) -> Iterator[Event]:
    """Of the lines of a stream (WHATWG HTML, section 9.2); kinds of a newer server are passed over."""
    name, data = "", []
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
            if len(data) > LINES_MAX:
                raise bad_answer("an event is too long")
        elif not line:
            if name in KINDS and data:
                yield typed(KINDS[name], parsed("\n".join(data)))
            name, data = "", []
