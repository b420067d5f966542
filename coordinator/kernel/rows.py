"""Rows of a state table as the rules read them: by key, by range and in bulk, wherever they are kept.

    rows[key]  rows.get(key)  key in rows      one row
    rows.each(keys)                            many, in the order of the keys, a bounded number at a time
    rows.among(firsts, columns)                columns of all whose key begins with one of many, in bulk
    rows.columns_among(firsts, table, columns) the same by column
    rows.prefetch(keys)                        soon needed: a store reads them in bulk, memory does nothing
    rows.under(prefix)                         those whose key begins so, in the order of their keys
    rows.having(column, value)                 those with a value in one column of their key, in the order of their keys
    rows.items()                               all of them, in the order of their keys

A rule must not ask for all rows, nor for each of many by itself: a million devices are registered, a few speak.

    MemoryRows             a dictionary
    column_rows            sorted columns: audit, simulation, tests
    Overlaid               rows with changes laid over them, nothing copied
    store.state_rows       read from a module's store when asked for
"""

from abc import abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from .firsts import Firsts
from .tables import Changed, ColumnValues, Delta, Key, Row, Table, TableState, Value

EACH_ROWS = 500
Found = tuple[Key, Row]


class Rows(Mapping[Key, Row]):
    """A mapping of keys to rows with ranges. What is read does not change until a whole batch is applied."""

    @abstractmethod
    def under(self, prefix: Key) -> Iterator[Found]:
        """Rows whose key begins with `prefix`, in the order of their keys."""

    @abstractmethod
    def having(self, column: int, value: Value) -> Iterator[Found]:
        """Rows whose key has `value` in its column of that number, in the order of their keys."""

    def each(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Row | None]]:
        """Each key with its row, None where there is none."""
        for key in keys:
            yield key, self.get(key)

    def among(self, firsts: Sequence[Value], columns: Sequence[int]) -> list[Row]:
        """These columns, counted from the first of the key, of all rows whose key begins with one of `firsts`, which
        ascend; in the order of the keys."""
        chosen = itemgetter(*columns)
        return [chosen(key + row) for first in firsts for key, row in self.under((first,))]

    def columns_among(
        self, firsts: Sequence[Value] | npt.NDArray[Any], table: Table, columns: Sequence[int]
    ) -> tuple[npt.NDArray[Any], list[ColumnValues]]:
        """What `among` gives, by column: for each row its place among `firsts`, and the columns, numbers as arrays of
        int64, byte strings as lists. `table` is that of the rows. Raises OverflowError for a number beyond int64."""
        asked = firsts.tolist() if isinstance(firsts, np.ndarray) else firsts
        place = {first: at for at, first in enumerate(asked)}
        found = self.among(asked, [0, *columns])
        which = np.fromiter((place[row[0]] for row in found), np.int64, len(found))
        told: list[ColumnValues] = []
        for behind, at in enumerate(columns, start=1):
            values: Any = [row[behind] for row in found]
            told.append(values if table.columns[at].is_bytes else np.array(values, np.int64))
        return which, told

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Whole keys or beginnings of keys whose rows are read next; only a hint."""

    def __iter__(self) -> Iterator[Key]:
        return (key for key, _ in self.under(()))

    def items(self) -> ItemsView[Key, Row]:
        return _Items(self)

    def values(self) -> ValuesView[Row]:
        return _Values(self)


class _Items(ItemsView[Key, Row]):
    """One pass, not a query a row."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._rows = rows

    def __iter__(self) -> Iterator[Found]:
        return self._rows.under(())


class _Values(ValuesView[Row]):
    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self._rows.under(()))


class MemoryRows(Rows):
    """Rows in a dictionary, which is not copied."""

    def __init__(self, rows: Mapping[Key, Row]) -> None:
        self._held = rows
        self._firsts: Firsts | None = None

    def __getitem__(self, key: Key) -> Row:
        return self._held[key]

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def under(self, prefix: Key) -> Iterator[Found]:
        if not prefix:
            return iter(sorted(self._held.items()))
        if self._firsts is None:
            self._firsts = Firsts(self._held)
        return iter([(key, self._held[key]) for key in self._firsts.under(prefix)])

    def having(self, column: int, value: Value) -> Iterator[Found]:
        return iter(sorted((key, row) for key, row in self._held.items() if key[column] == value))

    def among(self, firsts: Sequence[Value], columns: Sequence[int]) -> list[Row]:
        if not self._held:
            return []
        chosen, held = itemgetter(*columns), self._held
        if len(next(iter(held))) == 1:
            return [chosen((first, *held[(first,)])) for first in firsts if (first,) in held]
        if self._firsts is None:
            self._firsts = Firsts(held)
        return [chosen(key + held[key]) for key in self._firsts.among(firsts)]

    def change(self, changes: Changed) -> None:
        """Take over changes, in place: for whoever owns the dictionary."""
        assert isinstance(self._held, dict), "rows of somebody else"
        for key, row in changes.items():
            if row is None:
                self._held.pop(key, None)
            else:
                self._held[key] = row
        if self._firsts is not None:
            self._firsts.change(changes)


class Overlaid(Rows):
    """Rows after changes; None deletes. Neither is copied, and neither may change while this is read."""

    def __init__(self, before: Rows, changes: Changed) -> None:
        self.before = before
        self.changes = changes
        self._firsts: Firsts | None = None

    def __getitem__(self, key: Key) -> Row:
        if key not in self.changes:
            return self.before[key]
        row = self.changes[key]
        if row is None:
            raise KeyError(key)
        return row

    def get(self, key: Key, default: Row | None = None) -> Row | None:  # type: ignore[override]
        if key not in self.changes:
            return self.before.get(key, default)
        row = self.changes[key]
        return default if row is None else row

    def __contains__(self, key: object) -> bool:
        if key in self.changes:
            return self.changes[key] is not None  # type: ignore[index]
        return key in self.before

    def __len__(self) -> int:
        return sum(1 for _ in self.under(()))

    def each(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Row | None]]:
        left = iter(keys)
        while part := list(islice(left, EACH_ROWS)):
            below = dict(self.before.each([key for key in part if key not in self.changes]))
            for key in part:
                yield key, self.changes[key] if key in self.changes else below[key]

    def among(self, firsts: Sequence[Value], columns: Sequence[int]) -> list[Row]:
        changed = {key[0] for key in self.changes}.intersection(firsts)
        if not changed:
            return self.before.among(firsts, columns)
        found: dict[Value, list[Row]] = {}
        for row in self.before.among([first for first in firsts if first not in changed], [0, *columns]):
            found.setdefault(row[0], []).append(row[1:])
        for first in changed:
            found[first] = super().among([first], columns)
        return [row for first in firsts for row in found.get(first, ())]

    def prefetch(self, keys: Iterable[Key]) -> None:
        self.before.prefetch(key for key in keys if key not in self.changes)

    def under(self, prefix: Key) -> Iterator[Found]:
        if self._firsts is None:
            self._firsts = Firsts(self.changes)
        return self._laid_over(self.before.under(prefix), self._firsts.under(prefix))

    def having(self, column: int, value: Value) -> Iterator[Found]:
        changed = sorted(key for key in self.changes if key[column] == value)
        return self._laid_over(self.before.having(column, value), changed)

    def _laid_over(self, below: Iterator[Found], changed: Iterable[Key]) -> Iterator[Found]:
        """Both ordered by key; what was changed covers what lies below."""
        uncovered = (found for found in below if found[0] not in self.changes)
        return merge(uncovered, ((key, row) for key in changed if (row := self.changes[key]) is not None))


def rows_of(state: TableState, name: str) -> Rows:
    """The rows of a table, none where the state does not know it yet."""
    held = state.get(name, {})
    return held if isinstance(held, Rows) else MemoryRows(held)


def applied(state: TableState, delta: Delta) -> dict[str, Rows]:
    """The state after a delta, which must not change any more; nothing is copied but older changes."""
    after = {name: rows_of(state, name) for name in state}
    for name, changes in delta.items():
        before = rows_of(state, name)
        if isinstance(before, Overlaid):
            after[name] = Overlaid(before.before, {**before.changes, **changes})
        else:
            after[name] = Overlaid(before, changes)
    return after
