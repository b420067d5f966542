"""Rows of one table as sorted columns: what a batch's devices hold is read by a few operations on all of them.

Two runs, which have no key in common: nearly all rows, and those that were added lately. A row that is there is
written over or struck out where it stands. New keys go into the small run, which is joined with the large one when it
has grown to a part of it; so a small batch does not touch all rows, nor are there ever many to look through twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice

import numpy as np

from .column_keys import Keys
from .column_run import Array, Run, array_of, empty
from .rows import EACH_ROWS, Found, Rows
from .tables import U64, Changed, Column, ColumnChanges, ColumnValues, Key, Row, Table, Value, column_of, columns_of

LATELY_ROWS = 1024  # added or struck out before the runs are joined,
LATELY_PART = 8  # and one for each eight rows held


class ColumnRows(Rows):
    """`change` is for whoever owns them; what was read before stays as it was. Raises OverflowError, AssertionError for
    rows that the table does not hold."""

    def __init__(self, table: Table, rows: Mapping[Key, Row] | None = None, lately_rows: int = LATELY_ROWS) -> None:
        self._table = table
        self._lately_rows = lately_rows
        self._keys = Keys(table)
        self._held = self._lately = empty(table, self._keys)
        if rows:
            self._held = self._held.joined(self._arrays(columns_of(table, rows).values_by_column))

    def __getitem__(self, key: Key) -> Row:
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def get(self, key: Key, default: Row | None = None) -> Row | None:  # type: ignore[override]
        packed = self._keys.whole(key)
        if packed is None:
            return default
        for run in self._runs:
            at = run.place(packed)
            if at >= 0:
                return run.row(at)
        return default

    def __contains__(self, key: object) -> bool:
        packed = self._keys.whole(key)
        return packed is not None and any(run.place(packed) >= 0 for run in self._runs)

    def __len__(self) -> int:
        return sum(len(run) - run.gone for run in self._runs)

    def each(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Row | None]]:
        left = iter(keys)
        while part := list(islice(left, EACH_ROWS)):
            packed = [self._keys.whole(key) for key in part]
            asked = np.frombuffer(b"".join([one for one in packed if one is not None]), self._keys.fixed)
            found: dict[bytes, Row] = {}
            for run in self._runs:
                at = np.unique(run.find(asked))
                rows = run.rows(at[at >= 0])
                found.update((self._whole(row), row[self._table.key :]) for row in rows)
            yield from ((key, None if one is None else found.get(one)) for key, one in zip(part, packed, strict=True))

    def under(self, prefix: Key) -> Iterator[Found]:
        packed = self._keys.of(prefix)
        if packed is None:
            return iter(())
        return self._in_order([run.beginning(packed) for run in self._runs])

    def having(self, column: int, value: Value) -> Iterator[Found]:
        try:
            sought = array_of(self._table.columns[column], column_of(self._table.columns[column], [value]))
        except (OverflowError, AssertionError):
            return iter(())  # no row can have it
        return self._in_order([run.having(column, sought) for run in self._runs])

    def among(self, firsts: Sequence[Value], columns: Sequence[int]) -> list[Row]:
        _, found = self._columns_among(firsts, columns)
        return list(zip(*(values.tolist() for values in found), strict=True))

    def columns_among(
        self, firsts: Sequence[Value] | Array, table: Table, columns: Sequence[int]
    ) -> tuple[Array, list[ColumnValues]]:
        which, found = self._columns_among(firsts, columns)
        return which, [_told(table.columns[at], values) for at, values in zip(columns, found, strict=True)]

    def change(self, changes: Changed) -> None:
        """Take over changes, in place."""
        if not changes:
            return
        if not isinstance(changes, ColumnChanges):
            changes = columns_of(self._table, changes)
        if changes.deleted:
            deleted = self._keys.of_columns(changes.deleted)
            for run in self._runs:
                at = run.find(deleted)
                run.strike(at[at >= 0])
        columns = self._arrays(changes.values_by_column)
        for run in self._runs:
            at = run.find(self._keys.of_columns(columns[: self._table.key]))
            known = at >= 0
            run.write(at[known], [column[known] for column in columns])
            columns = [column[~known] for column in columns]
        if len(columns[0]):
            self._lately = self._lately.joined(columns)
        if len(self._lately) + self._held.gone > self._lately_rows + len(self._held) // LATELY_PART:
            self._held = self._held.joined(self._lately.left())
            self._lately = empty(self._table, self._keys)

    @property
    def _runs(self) -> tuple[Run, ...]:
        return (self._held, self._lately) if len(self._lately) else (self._held,)

    def _arrays(self, columns: Sequence[ColumnValues]) -> list[Array]:
        return [array_of(column, values) for column, values in zip(self._table.columns, columns, strict=True)]

    def _whole(self, row: Row) -> bytes:
        packed = self._keys.of(row[: self._table.key])
        assert packed is not None
        return packed

    def _in_order(self, places: Sequence[Array]) -> Iterator[Found]:
        """The rows at these places of each run, ordered by key."""
        key = self._table.key
        rows = [run.rows(at) for run, at in zip(self._runs, places, strict=True) if len(at)]
        found = rows[0] if len(rows) == 1 else merge(*rows)
        return ((row[:key], row[key:]) for row in found)

    def _columns_among(self, firsts: Sequence[Value] | Array, columns: Sequence[int]) -> tuple[Array, list[Array]]:
        column = self._table.columns[0]
        asked = firsts if isinstance(firsts, np.ndarray) else array_of(column, column_of(column, list(firsts)))
        found = [(run, *run.among(asked)) for run in self._runs]
        found = [one for one in found if len(one[1])] or found[:1]
        if len(found) == 1:
            ((run, which, at),) = found
            return which, [run.taken(number, at) for number in columns]
        order = np.argsort(np.concatenate([run.keys[at] for run, _, at in found]), kind="stable")
        which = np.concatenate([which for _, which, _ in found])[order]
        return which, [np.concatenate([run.taken(number, at) for run, _, at in found])[order] for number in columns]


def _told(column: Column, values: Array) -> ColumnValues:
    """As `Rows.columns_among` gives it. Raises OverflowError for a number beyond int64."""
    if column.is_bytes:
        return values.tolist()  # type: ignore[no-any-return]
    numbers = values.astype(np.int64)
    if column.type == U64 and len(numbers) and numbers.min() < 0:
        raise OverflowError("a number beyond 63 bits")
    return numbers
