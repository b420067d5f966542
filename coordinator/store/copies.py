"""Copies of the stores as of one moment, taken beside whoever writes to them: by SQLite's backup API, each inside a
read transaction that was begun before anything was copied."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from .home import Home
from .look import failure
from .schema import METADATA

BUSY_MS = 5000
PAGES_AT_ONCE = 2000


class StoreCopies:
    """Open read transactions on every store: those of modules and intake, and others in `private/stores/`. Blocking.

    `applied` is the newest batch in each store that has batches. Raises OSError, StoreBroken.
    """

    def __init__(self, home: Home) -> None:
        self._open: dict[str, sqlite3.Connection] = {}
        self.applied: dict[str, int] = {}
        found = {path.stem: path for path in home.stores.glob("*.sqlite")}
        self.paths = {**found, **{store: home.store(store) for store in METADATA}}
        try:
            for store, path in sorted(self.paths.items()):
                with _errors(store, path):
                    if not path.exists():
                        raise FileNotFoundError(f"store {store}: {path} is missing")
                    connection = sqlite3.connect(path, isolation_level=None)
                    self._open[store] = connection
                    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
                    connection.execute("PRAGMA query_only=1")
                    connection.execute("BEGIN")
                    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                    if store in METADATA:
                        (self.applied[store],) = connection.execute("SELECT applied FROM meta").fetchone()
        except BaseException:
            self.close()
            raise

    def size(self, store: str) -> int:
        """Bytes that its copy will have."""
        with _errors(store, self.paths[store]):
            (pages,) = self._open[store].execute("PRAGMA page_count").fetchone()
            (page_bytes,) = self._open[store].execute("PRAGMA page_size").fetchone()
        return int(pages * page_bytes)

    def copy(self, store: str, path: Path, told: Callable[[int], None]) -> None:
        """Write a store to a new file; `told` hears of bytes that were copied. Raises OSError."""
        with _errors(store, self.paths[store]), contextlib.closing(sqlite3.connect(path)) as copy:
            (page_bytes,) = self._open[store].execute("PRAGMA page_size").fetchone()
            copied = 0

            def progress(_status: int, remaining: int, total: int) -> None:
                nonlocal copied
                told((total - remaining - copied) * page_bytes)
                copied = total - remaining

            self._open[store].backup(copy, pages=PAGES_AT_ONCE, progress=progress)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()


@contextlib.contextmanager
def _errors(store: str, path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise failure(store, path, error) from error
