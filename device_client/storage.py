"""The outbox on disk: one append-only file."""

import os
from pathlib import Path


class FileStorage:
    """What `core.outbox` writes to. An append that fails leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        fresh = not path.exists()
        self._file = path.open("a+b", buffering=0)
        self._size = path.stat().st_size
        if fresh:
            _sync_folder(path.parent)

    def size(self) -> int:
        return self._size

    def read(self, at: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, at)

    def append(self, data: bytes, durable: bool) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) or 0 :]
            if durable:
                os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(data)

    def replace(self, pieces: list[bytes]) -> None:
        temporary = self._path.with_name(self._path.name + ".tmp")
        with temporary.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        _sync_folder(self._path.parent)
        self._file.close()
        self._file = self._path.open("a+b", buffering=0)
        self._size = self._path.stat().st_size

    def close(self) -> None:
        self._file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
