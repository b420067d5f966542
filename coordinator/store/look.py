"""Whether the file of a store is there and whole, and what to type when it is not.

At the start of a coordinator a small file is read whole, of a large one the beginning: SQLite notices the rest when it
comes there. It has no checksums: a value that was changed into another one is found by nobody here.
"""

import sqlite3
from pathlib import Path

from .folders import numbered
from .home import Home

BUSY_MS = 5000
READ_BYTES_MAX = 64 << 20  # read whole in some tenths of a second
# What SQLite says of a file that is none of its own, or no longer: result codes CORRUPT, NOTADB and IOERR_SHORT_READ.
_BROKEN = (11, 26, 522)


class StoreBroken(RuntimeError):
    """A module's store is missing or broken; the text names it, its file, and what to type."""

    def __init__(self, store: str, path: Path, what: str, root: Path | None = None) -> None:
        of_network = f" --data-dir {root}" if root else ""
        super().__init__(f"store {store}: {path} {what}; put it back, or run: edgetally rebuild {store}{of_network}")


def failure(store: str, path: Path, error: BaseException | None) -> Exception:
    """What to raise for an error of SQLite: StoreBroken, or an OSError like any other failing disk."""
    if _is_broken(error):
        return StoreBroken(store, path, f"is broken ({error})")
    return OSError(f"store {store}: {error}")


def _is_broken(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _BROKEN or code & 0xFF in _BROKEN


def look_at_all(home: Home, stores: list[str]) -> None:
    """Blocking. Raises StoreBroken for the first that is not whole, if the network has a batch; OSError."""
    has_batches = bool(numbered(home.batches))
    for store in stores:
        path = home.store(store)
        if not path.parent.is_dir():
            raise StoreBroken(store, path, "cannot be there: its folder is missing", home.root)
        if has_batches or path.exists():
            what = trouble(store, path, READ_BYTES_MAX)
            if what and (has_batches or what != EMPTY):
                raise StoreBroken(store, path, what, home.root)


EMPTY = "holds no store"


def trouble(store: str, path: Path, read_bytes_max: int | None = None) -> str:
    """What is wrong with the file, "" for nothing; one that is larger is not read whole. Raises OSError."""
    if not path.exists():
        return "is missing"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("PRAGMA query_only=1")
        return _looked(connection, read_bytes_max)
    except sqlite3.Error as error:
        if _is_broken(error):
            return f"is broken ({error})"
        raise OSError(f"store {store}: {error}") from error
    finally:
        connection.close()


def _looked(connection: sqlite3.Connection, read_bytes_max: int | None) -> str:
    held = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "meta" not in held:
        return EMPTY
    if connection.execute("SELECT typeof(applied) FROM meta").fetchall() != [("integer",)]:
        return "does not say which batch it is at"
    # SQLite has compared the length of the file with the number of its pages by now.
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    if read_bytes_max is None or pages * page_bytes <= read_bytes_max:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            return f"is broken ({' '.join(found.split())})"
    return ""
