"""Rows of a table by column, in the order of their keys. Rows can be written over and struck out in place; which keys
there are never changes: for other keys a new run is made."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .column_keys import Keys
from .tables import BLOB, Column, ColumnValues, Row, Table

Array = npt.NDArray[Any]

BLOCK_ROWS = 4096  # are made into tuples at once


class Run:
    """`columns` are owned: nobody else may change them. Blobs are arrays of objects, others of the table's types."""

    def __init__(self, table: Table, keys: Keys, columns: Sequence[Array]) -> None:
        self._table = table
        self._form = keys
        self.columns = columns
        self.keys = keys.of_columns(columns[: table.key])
        self._exact = self.keys.view(f"V{keys.width}")
        self._gone = np.zeros(len(self.keys), bool)
        self.gone = 0

    def __len__(self) -> int:
        """With what is struck out."""
        return len(self.keys)

    # ONE ROW

    def place(self, key: bytes) -> int:
        """The place of the row with this key, -1 for none."""
        at = int(self.keys.searchsorted(key))
        is_there = at < len(self.keys) and self._exact.item(at) == key and not self._gone[at]
        return at if is_there else -1

    def row(self, at: int) -> Row:
        """Without its key."""
        return tuple([column.item(at) for column in self.columns[self._table.key :]])

    # MANY ROWS

    def find(self, keys: Array) -> Array:
        """The place of each key's row, -1 for none."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        at = self.keys.searchsorted(keys)
        at[at == len(self.keys)] = 0
        is_there = self.keys[at] == keys
        if self.gone:
            is_there &= ~self._gone[at]
        return np.where(is_there, at, -1)

    def beginning(self, key: bytes) -> Array:
        """The places of all rows whose key begins so."""
        low, high = (key.ljust(self._form.width, filled) for filled in (b"\0", b"\xff"))
        start, stop = self.keys.searchsorted(low), self.keys.searchsorted(high, "right")
        return self._left(np.arange(start, stop))

    def having(self, column: int, value: Array) -> Array:
        """The places of all rows with this value, one of the column's type, in a column."""
        return self._left(np.flatnonzero(self.columns[column] == value))

    def among(self, firsts: Array) -> tuple[Array, Array]:
        """Of all rows whose key begins with one of `firsts`, which ascend: which of them, and the place of the row."""
        total = len(self.keys)
        if not total:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        first_of, last = self.columns[0], total - 1
        left = self.keys.searchsorted(self._form.of_columns([firsts]))
        count = (left <= last) & (first_of[np.minimum(left, last)] == firsts)
        if self._table.key > 1:
            several = np.flatnonzero(count & (left < last) & (first_of[np.minimum(left + 1, last)] == firsts))
            count = count.astype(np.int64)
            high = self._form.of_columns([firsts[several]], 255)
            count[several] = self.keys.searchsorted(high, "right") - left[several]
            which = np.repeat(np.arange(len(firsts)), count)
            at = np.arange(len(which)) + np.repeat(left - (np.cumsum(count) - count), count)
        else:
            which = np.flatnonzero(count)
            at = left[which]
        if not self.gone:
            return which, at
        left_over = ~self._gone[at]
        return which[left_over], at[left_over]

    def rows(self, places: Array) -> Iterator[Row]:
        """Whole rows."""
        for start in range(0, len(places), BLOCK_ROWS):
            some = places[start : start + BLOCK_ROWS]
            yield from zip(*(self.taken(column, some).tolist() for column in range(len(self.columns))), strict=True)

    def taken(self, column: int, places: Array) -> Array:
        """The values at these places, which ascend; to be read only."""
        if len(places) and places[-1] - places[0] == len(places) - 1:
            return self.columns[column][places[0] : places[-1] + 1]
        return self.columns[column][places]

    def _left(self, places: Array) -> Array:
        return places[~self._gone[places]] if self.gone else places

    # CHANGES

    def write(self, places: Array, columns: Sequence[Array]) -> None:
        """Other values at these places; the keys are the same."""
        for held, values in zip(self.columns[self._table.key :], columns[self._table.key :], strict=True):
            held[places] = values

    def strike(self, places: Array) -> None:
        """A row that comes back does so in another run."""
        self._gone[places] = True
        self.gone = int(self._gone.sum())

    def joined(self, columns: Sequence[Array]) -> "Run":
        """A new run of what is left of this one, and of rows with other keys in any order."""
        kept = ~self._gone
        both = [np.concatenate([held[kept], more]) for held, more in zip(self.columns, columns, strict=True)]
        order = np.argsort(self._form.of_columns(both[: self._table.key]), kind="stable")
        return Run(self._table, self._form, [column[order] for column in both])

    def left(self) -> list[Array]:
        """The columns of what is not struck out."""
        kept = ~self._gone
        return [column[kept] for column in self.columns]


def array_of(column: Column, values: ColumnValues) -> Array:
    """As a run keeps it; what already is so is not copied."""
    if column.type != BLOB:
        return np.asarray(values, column.dtype)
    array = np.empty(len(values), object)
    array[:] = values
    return array


def empty(table: Table, keys: Keys) -> Run:
    return Run(table, keys, [array_of(column, []) for column in table.columns])
