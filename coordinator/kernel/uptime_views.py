"""Who was there, epoch by epoch, for many devices at once."""

from collections.abc import Sequence
from typing import NamedTuple


class UptimeRow(NamedTuple):
    """`up` is (windows present, windows) for each epoch of the view, oldest first; no windows before it enrolled."""

    device: bytes
    up: Sequence[tuple[int, int]]


class UptimeView(NamedTuple):
    """Closed epochs from `first` to `last`. Rows in order of device id; the next ones come behind `next`, empty at the
    end."""

    first: int
    last: int
    rows: Sequence[UptimeRow]
    next: bytes
