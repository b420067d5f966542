"""The outbox on disk: one append-only file."""

import os
from pathlib import Path

from .durable import append_durably, replace_durably, sync_folder


class FileStorage:
    """What `core.outbox` writes to. An append that fails leaves the file as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        fresh = not path.exists()
        self._file = path.open("a+b", buffering=0)
        self._size = path.stat().st_size
        if fresh:
            sync_folder(path.parent)

    def size(self) -> int:
        return self._size

    def read(self, at: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, at)

    def append(self, data: bytes, durable: bool) -> None:
        append_durably(self._file, data, durable)
        self._size += len(data)

    def replace(self, pieces: list[bytes]) -> None:
        replace_durably(self._path, b"".join(pieces))
        self._file.close()
        self._file = self._path.open("a+b", buffering=0)
        self._size = self._path.stat().st_size

    def close(self) -> None:
        self._file.close()
