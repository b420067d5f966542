"""Timings of the newest batches, one small private file each: for the operator, and lost without harm."""

import json

from coordinator.engine.timing import Span

from .home import Home

KEPT = 1000
FILE_BYTES_MAX = 1 << 20


def write_timings(home: Home, number: int, spans: list[Span]) -> None:
    """Keep those of batch `number`, drop those of the batch KEPT before it. Raises OSError."""
    home.timings.mkdir(exist_ok=True)
    (home.timings / f"{number}.json").write_text(json.dumps([list(one) for one in spans]))
    (home.timings / f"{number - KEPT}.json").unlink(missing_ok=True)


def read_timings(home: Home, number: int) -> list[Span] | None:
    """None where there are none, or none that can be read."""
    path = home.timings / f"{number}.json"
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return None
        return [_span(row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return None


def _span(row: object) -> Span:
    types = (int, str, str, int, int, int, str)
    if not isinstance(row, list) or [type(one) for one in row] != list(types):
        raise ValueError("not a span")
    return Span(*row)
