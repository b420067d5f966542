"""A store that is made anew beside the old one, and takes its place when it is whole."""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from coordinator.kernel.tables import Row, Table
from device_client.durable import sync_folder

from . import totals
from .migrate import migrate

_BESIDE = ("-wal", "-shm", "-journal")


class NewFile:
    """Blocking. End with `finish`, or with `abandon`, which leaves the old file. All of it raises OSError."""

    def __init__(self, store: str, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(path.name + ".new")
        self._store = store
        self._drop(self._temporary)
        with self._errors():
            migrate(store, self._temporary)
            self._connection = sqlite3.connect(self._temporary, isolation_level=None)
            # Nobody reads it before it is whole: no journal, and one sync at the end.
            self._connection.execute("PRAGMA journal_mode=OFF")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.execute("BEGIN")

    def append(self, table: Table, batch: int, rows: Sequence[Row]) -> None:
        """Records of a batch."""
        self._insert(table.name, len(table.columns) + 1, ((batch, *row) for row in rows))

    def put(self, table: Table, rows: Iterable[Row]) -> None:
        """Rows of a state table, the key first."""
        self._insert(table.name, len(table.columns), rows)

    def finish(self, applied: int) -> None:
        """Complete at this batch: durable, and in the place of the old file."""
        with self._errors():
            for _, statement in totals.ADDING.get(self._store, ()):
                self._connection.execute(statement, (0,))
            self._connection.execute("UPDATE meta SET applied = ?", (applied,))
            self._connection.execute("COMMIT")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.close()
        descriptor = os.open(self._temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._close_old()
        # The old one's log would be taken for that of the new one.
        for suffix in _BESIDE:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        sync_folder(self._path.parent)
        self._temporary.replace(self._path)
        sync_folder(self._path.parent)

    def abandon(self) -> None:
        self._connection.close()
        self._drop(self._temporary)

    def _close_old(self) -> None:
        """Bring the log of an old file that still opens into it: a power cut before the rename takes nothing away."""
        if not self._path.exists():
            return
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _insert(self, name: str, columns: int, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * columns)
        with self._errors():
            self._connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)  # noqa: S608

    @staticmethod
    def _drop(path: Path) -> None:
        for suffix in ("", *_BESIDE):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(f"store {self._store}: {error}") from error
