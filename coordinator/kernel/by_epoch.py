"""Rows of (device, epoch), by column: statements are gathered into them, and an epoch that closes takes them out.

by_epoch(...)    which row each statement belongs to, and what state holds of it
merged(...)      the rows of all lanes, as changes
closed(...)      the rows of the epochs that close with the batch, and the changes without them
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .held import Held
from .module import Context, Lane
from .rows import rows_of
from .statements import Columns, starts_of
from .tables import ColumnChanges, ColumnValues, Key, Row, Table, column_of


class ByEpoch(NamedTuple):
    """One row for each device and epoch, ascending; `columns` by name, lists for byte strings."""

    device: Columns
    epoch: Columns
    columns: dict[str, Any]


class Groups(NamedTuple):
    """`order` puts what was given into the order of the groups, and `group` is the group of each, in that order.
    `device` (place in the lane), `epoch` and `held` (a row of state, -1 for none) are one a group."""

    order: Columns
    group: Columns
    device: Columns
    epoch: Columns
    held: Columns

    def numbers(self, held: Held, name: str) -> Columns:
        """A column of what state holds of the groups; 0 where it holds nothing."""
        found = np.zeros(len(self.held), np.int64)
        is_held = self.held >= 0
        found[is_held] = held.columns[name][self.held[is_held]]
        return found

    def bitmaps(self, held: Held) -> list[bytes]:
        column = held.columns["bitmap"]
        return [column[at] if at >= 0 else b"" for at in self.held.tolist()]


def by_epoch(lane: Lane, rows: Columns, epoch: Columns, held: Held) -> Groups:
    """`rows` are places of statements in the lane, `epoch` the one that each belongs to."""
    if not len(rows):
        none = np.zeros(0, np.int64)
        return Groups(none, none, none, none, none)
    first, span = int(epoch.min()), int(epoch.max() - epoch.min()) + 1
    assert span * len(lane.devices) < 1 << 62
    at = lane.device[rows] * span + (epoch - first)
    order = np.arange(len(at)) if (at[1:] >= at[:-1]).all() else np.argsort(at, kind="stable")
    at = at[order]
    starts = starts_of(at)
    group = np.zeros(len(at), np.int64)
    group[starts[1:]] = 1
    keys = at[starts]
    inside = (held.columns["epoch"] >= first) & (held.columns["epoch"] < first + span)
    held_rows = np.flatnonzero(inside)
    held_keys = held.device[held_rows] * span + (held.columns["epoch"][held_rows] - first)
    place = np.searchsorted(held_keys, keys)
    found = np.full(len(keys), -1)
    within = place < len(held_keys)
    same = within.copy()
    same[within] = held_keys[place[within]] == keys[within]
    found[same] = held_rows[place[same]]
    return Groups(order, np.cumsum(group), keys // span, first + keys % span, found)


def merged(table: Table, lanes: Sequence[ByEpoch]) -> ColumnChanges:
    """All lanes, one behind the other."""
    columns: list[ColumnValues] = []
    for at, column in enumerate(table.columns):
        parts = [[lane.device, lane.epoch][at] if at < 2 else lane.columns[column.name] for lane in lanes]
        if parts and isinstance(parts[0], list):
            columns.append([value for part in parts for value in part])
        else:
            empty = column_of(column, [])
            columns.append(np.concatenate([empty, *(part.astype(column.dtype) for part in parts)]) if parts else empty)
    return ColumnChanges(table, columns)


class Closed(NamedTuple):
    """The rows of the epochs that close, ascending by (device, epoch), with what their devices declared."""

    device: Columns
    epoch: Columns
    interval_s: Columns
    columns: dict[str, Any]

    def weights(self, closing: range, weight_ppm: Columns) -> dict[int, dict[bytes, int]]:
        """By epoch and device."""
        found: dict[int, dict[bytes, int]] = {}
        for epoch in closing:
            chosen = self.epoch == epoch
            devices = self.device[chosen].tolist()
            found[epoch] = dict(zip(devices, weight_ppm[chosen].tolist(), strict=True))
        return found


def closed(table: Table, context: Context, changes: ColumnChanges) -> tuple[ColumnChanges, Closed]:
    """What is left to change, and the rows of the closing epochs, which are deleted."""
    closing = context.frame.closing
    held: dict[Key, Row] = {}
    for epoch in closing:
        held.update(rows_of(context.state, table.name).having(1, epoch))
    epochs = changes.values_by_column[1]
    assert isinstance(epochs, np.ndarray)
    closes = (epochs.astype(np.int64) >= closing.start) & (epochs.astype(np.int64) < closing.stop)
    held.update((key, row) for key, row in _chosen(changes, closes).items() if row is not None)
    rows = sorted(held.items())
    columns = {
        column.name: column_of(column, [row[at] for _, row in rows])
        for at, column in enumerate(table.columns[table.key :])
    }
    device, epoch_of = (column_of(table.columns[at], [key[at] for key, _ in rows]) for at in range(2))
    assert isinstance(device, np.ndarray) and isinstance(epoch_of, np.ndarray)
    left = _chosen(changes, ~closes)
    left.deleted = (device, epoch_of)
    return left, Closed(device, epoch_of.astype(np.int64), _intervals(context, device), columns)


def _chosen(changes: ColumnChanges, chosen: Columns) -> ColumnChanges:
    rows = np.flatnonzero(chosen).tolist()
    return ColumnChanges(
        changes.table,
        [
            [values[at] for at in rows] if isinstance(values, list) else values[chosen]
            for values in changes.values_by_column
        ],
    )


INTERVAL = 5  # the column of identity's devices in which they declare how often they report


def _intervals(context: Context, device: Columns) -> Columns:
    """What each row's device declared."""
    devices = device.tolist()
    found = rows_of(context.reads["identity"].after, "devices").among(sorted(set(devices)), (0, INTERVAL))
    declared: dict[Any, Any] = dict(found)  # type: ignore[arg-type]
    return np.array([declared[one] for one in devices], np.int64)
