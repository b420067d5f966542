"""The state of the modules where it lies: read from their stores when it is asked for, held in memory by nobody.

One connection a store, inside a read transaction: whatever is applied meanwhile, the rows are those before the running
batch, until `advance` opens the next transaction. So rules and intake see a batch whole or not at all, although the
stores take it over one after the other.

What a batch needs of many devices it reads in bulk (`prefetch`, `each`); `prefetch` keeps it until the batch is over.
Reads may come from several threads: each query has the connection for itself, and long reads are many short queries.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from coordinator.engine import wire
from coordinator.engine.measuring import Memories
from coordinator.engine.state import State
from coordinator.kernel.rows import EACH_ROWS, Found, Rows
from coordinator.kernel.tables import Delta, Key, Row, Table, TableState, Value
from coordinator.modules import MODULES
from coordinator.modules.sensing import Memory

from .look import failure
from .schema import INTAKE, MEMORIES

BUSY_MS = 5000
PAGE_ROWS = 1000


class Reader:
    """One store, read as of one moment. `queries` and `rows` count what was read."""

    def __init__(self, store: str, path: Path) -> None:
        self._store = store
        self._path = path
        self._lock = threading.Lock()
        self.queries = 0
        self.rows = 0
        self.applied = -1
        with self._errors():
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            self._connection.execute("PRAGMA query_only=1")
        self.renew()

    def renew(self) -> None:
        """Read as of now. Raises OSError."""
        with self._lock, self._errors():
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.execute("BEGIN")
            (self.applied,) = self._connection.execute("SELECT applied FROM meta").fetchone()

    def all(self, sql: str, values: Sequence[Value]) -> list[Row]:
        """Raises OSError."""
        with self._lock, self._errors():
            found = self._connection.execute(sql, values).fetchall()
            self.queries += 1
            self.rows += len(found)
        return found

    def one(self, sql: str, values: Sequence[Value]) -> Row | None:
        """Raises OSError."""
        with self._lock:
            try:
                found: Row | None = self._connection.execute(sql, values).fetchone()
            except sqlite3.Error as error:
                raise failure(self._store, self._path, error) from error
            self.queries += 1
            self.rows += found is not None
        return found

    def checkpoint(self, wal_bytes_max: int) -> None:
        """Bring a write-ahead log that has grown beyond this into the file. The moment read stays. Raises OSError.

        SQLite begins the log anew only when nobody reads out of it, and we always read: so everything goes into the
        file, and the next transaction reads from there.
        """
        wal = self._path.with_name(self._path.name + "-wal")
        if not wal.exists() or wal.stat().st_size <= wal_bytes_max:
            return
        with self._errors():
            connection = sqlite3.connect(self._path, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                connection.close()
        self.renew()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What the database cannot do is an OSError like any other failing disk, or says that the file is broken."""
        try:
            yield
        except sqlite3.Error as error:
            raise failure(self._store, self._path, error) from error


class StoreRows(Rows):
    """One table of a store."""

    def __init__(self, reader: Reader, table: Table) -> None:
        self._reader = reader
        self._key = table.key
        names = [f'"{column.name}"' for column in table.columns]
        self._names = names
        self._key_names = names[: table.key]
        self._columns = ", ".join(names)
        self._name = f'"{table.name}"'
        self._from = f"FROM {self._name}"
        self._values_by_key = f"SELECT {', '.join(names[table.key :])} {self._from} WHERE {_equal(self._key_names)}"
        self._has_key = f"SELECT 1 {self._from} WHERE {_equal(self._key_names)}"
        self._count = f"SELECT COUNT(*) {self._from}"
        self._fetched: dict[Key, Row | None] = {}
        self._fetched_under: dict[Key, list[Found]] = {}

    def __getitem__(self, key: Key) -> Row:
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def get(self, key: Key, default: Row | None = None) -> Row | None:  # type: ignore[override]
        row = self._fetched[key] if key in self._fetched else self._reader.one(self._values_by_key, key)
        return default if row is None else row

    def __contains__(self, key: object) -> bool:
        if key in self._fetched:
            return self._fetched[key] is not None
        return self._reader.one(self._has_key, key) is not None  # type: ignore[arg-type]

    def __len__(self) -> int:
        found = self._reader.one(self._count, ())
        assert found is not None
        return int(found[0])

    def under(self, prefix: Key) -> Iterator[Found]:
        fetched = self._fetched_under.get(prefix)
        if fetched is not None:
            return iter(fetched)
        return self._pages(dict(enumerate(prefix)))

    def having(self, column: int, value: Value) -> Iterator[Found]:
        return self._pages({column: value})

    def _pages(self, fixed: Mapping[int, Value]) -> Iterator[Found]:
        """Page by page, each behind the last key of the one before."""
        where = [self._key_names[index] for index in fixed]
        free = [index for index in range(self._key) if index not in fixed]
        order = [self._key_names[index] for index in free]
        first = f"SELECT {self._columns} {self._from}"
        tail = (f" ORDER BY {', '.join(order)}" if order else "") + f" LIMIT {PAGE_ROWS}"
        values = list(fixed.values())
        condition = _equal(where)
        page = self._reader.all(f"{first}{' WHERE ' * bool(where)}{condition}{tail}", values)
        while True:
            yield from ((row[: self._key], row[self._key :]) for row in page)
            if len(page) < PAGE_ROWS or not free:
                return
            last = [page[-1][index] for index in free]
            behind = f"({', '.join(order)}) > ({_marks(len(order))})"
            both = f"{condition} AND {behind}" if where else behind
            page = self._reader.all(f"{first} WHERE {both}{tail}", [*values, *last])

    def each(self, keys: Iterable[Key]) -> Iterator[tuple[Key, Row | None]]:
        left = iter(keys)
        while part := list(islice(left, EACH_ROWS)):
            found = {row[: self._key]: row[self._key :] for row in self._bulk(part)}
            for key in part:
                yield key, found.get(tuple(key))

    def among(self, firsts: Sequence[Value], columns: Sequence[int]) -> list[Row]:
        names = ", ".join(self._names[at] for at in columns)
        order = ", ".join(self._key_names)
        found: list[Row] = []
        for at in range(0, len(firsts), EACH_ROWS):
            part = firsts[at : at + EACH_ROWS]
            chosen = f"{self._key_names[0]} IN ({_marks(len(part))})"
            found += self._reader.all(f"SELECT {names} {self._from} WHERE {chosen} ORDER BY {order}", part)
        return found

    def prefetch(self, keys: Iterable[Key]) -> None:
        """Whole keys, or beginnings of keys; all of one length. In their order: neighbours lie on the same pages."""
        wanted = {key for key in keys if key not in self._fetched and key not in self._fetched_under}
        left = iter(sorted(wanted))
        while part := list(islice(left, EACH_ROWS)):
            length = len(part[0])
            if length == self._key:
                found: dict[Key, Row | None] = dict.fromkeys(part)
                found.update((row[:length], row[length:]) for row in self._bulk(part))
                self._fetched.update(found)
            else:
                groups: dict[Key, list[Found]] = {key: [] for key in part}
                for row in sorted(set(self._bulk(part))):
                    groups[row[:length]].append((row[: self._key], row[self._key :]))
                self._fetched_under.update(groups)

    def _bulk(self, keys: Sequence[Key]) -> list[Row]:
        """The rows of at most EACH_ROWS keys, or beginnings of keys, of one length; in any order, some twice."""
        count = 1 << (len(keys) - 1).bit_length() if len(keys) < EACH_ROWS else EACH_ROWS  # few different statements
        names = self._key_names[: len(keys[0])]
        filled = [*keys, *[keys[-1]] * (count - len(keys))]
        values = [value for key in filled for value in key]
        if len(names) == 1:
            sql = f"SELECT {self._columns} {self._from} WHERE {names[0]} IN ({_marks(count)})"
        else:
            row = f"({_marks(len(names))})"
            pairs = " AND ".join(f"held.{name} = wanted.{name}" for name in names)
            sql = (
                f"WITH wanted({', '.join(names)}) AS (VALUES {', '.join([row] * count)}) "  # noqa: S608
                f"SELECT held.* FROM wanted CROSS JOIN {self._name} AS held ON {pairs}"
            )
        return self._reader.all(sql, values)

    def forget(self) -> None:
        self._fetched, self._fetched_under = {}, {}


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _equal(names: Sequence[str]) -> str:
    return " AND ".join(f"{name} = ?" for name in names)


class StoreState(State):
    """The state of all modules, and what sensing remembers. Every store must be at the same batch when it is made.
    `path_of` a store is its file. Raises OSError, StoreBroken."""

    def __init__(self, path_of: Callable[[str], Path], tables: Mapping[str, Sequence[Table]]) -> None:
        self._readers: dict[str, Reader] = {}
        self._rows: dict[str, dict[str, StoreRows]] = {}
        try:
            for store, of_store in tables.items():
                reader = self._readers[store] = Reader(store, path_of(store))
                self._rows[store] = {table.name: StoreRows(reader, table) for table in of_store}
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()

    def __getitem__(self, module: str) -> TableState:
        if module == INTAKE:
            raise KeyError(module)
        return self._rows[module]

    def __iter__(self) -> Iterator[str]:
        return (module.name for module in MODULES)

    def __len__(self) -> int:
        return len(MODULES)

    @property
    def applied(self) -> int:
        """Number of the batch that is read as the newest, of stores that are at the same one."""
        return min(reader.applied for reader in self._readers.values())

    def renew(self) -> None:
        """Read as of now. Raises OSError."""
        for reader in self._readers.values():
            reader.renew()

    @property
    def rows_read(self) -> int:
        return sum(reader.rows for reader in self._readers.values())

    @property
    def queries(self) -> int:
        return sum(reader.queries for reader in self._readers.values())

    def remembered(self, devices: Iterable[bytes]) -> Mapping[bytes, Memory]:
        found = self._rows[INTAKE][MEMORIES.name].each((device,) for device in sorted(devices))
        return {key[0]: _memory(row) for key, row in found if row is not None}  # type: ignore[misc]

    def advance(self, number: int, deltas: Mapping[str, Delta], memories: Memories) -> None:
        for store, reader in self._readers.items():
            reader.renew()
            assert reader.applied == number, f"store {store} is at batch {reader.applied}, not {number}"
            for rows in self._rows[store].values():
                rows.forget()

    def checkpoint(self, wal_bytes_max: int) -> None:
        """Keep the write-ahead logs short; between two batches. Blocking. Raises OSError."""
        for reader in self._readers.values():
            reader.checkpoint(wal_bytes_max)


def _memory(row: Any) -> Memory:
    boot, seq, values, runs = row
    return Memory(boot, seq, tuple(wire.decoded(values)), tuple(wire.decoded(runs)))
