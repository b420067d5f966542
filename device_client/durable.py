"""Writes that a power cut cannot undo, and that leave things as they were when they fail."""

import os
from collections.abc import Iterable
from io import FileIO
from pathlib import Path


def append_durably(file: FileIO, data: bytes, sync: bool = True) -> None:
    """Append all of it to an unbuffered file, or none: on OSError (a full disk) the file is cut back and the error
    goes on. `sync` False leaves it to the next synced append."""
    start = file.seek(0, os.SEEK_END)
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) or 0 :]
        if sync:
            os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), start)
        raise


def replace_durably(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file as a whole, over an old one; readers see the old or the new. `mode` is cut by the umask."""
    replace_by_pieces(path, (data,), mode)


def replace_by_pieces(path: Path, pieces: Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """As `replace_durably`, for what need not be in memory as a whole."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)  # of a process that was killed, perhaps with another mode
    write_synced(temporary, pieces, mode)
    temporary.replace(path)
    sync_folder(path.parent)


def write_synced(path: Path, pieces: Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """Write a file and its contents to the disk; its name is durable after `sync_folder`."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def write_secret(path: Path, data: bytes) -> None:
    """A new file that only its owner reads. Raises FileExistsError over an old one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
