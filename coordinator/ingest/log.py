"""The intake's append log: one file for each open slot, a group of records made durable by one fsync.

A record is crc32 (4) | length (4) | kind (1) | body. A torn tail was never receipted and is cut off on start. Every
ingest worker has a folder of its own; the sealer reads a closed slot from all of them.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from device_client.durable import append_durably, sync_folder

_HEAD = struct.Struct(">IIB")
_CHECKED = struct.Struct(">IB")
_CRC = struct.Struct(">I")
STATEMENT = 1  # body: the statement's id (32), then the message as received
REFUSAL = 2  # body: one packed row of refusals
ID_BYTES = 32
BODY_BYTES_MAX = 4096


class Record(NamedTuple):
    kind: int
    body: bytes


class IntakeLog:
    """Appends to the file of the current slot. Opened, it cuts off what tore when the process before it died."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._slot = -1
        self._file: FileIO | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for slot in slots_of(folder):
            data = _read(self._path(slot))
            end = max((end for _, end in unpacked(data)), default=0)
            if end != len(data):
                os.truncate(self._path(slot), end)

    def append(self, slot: int, data: bytes) -> None:
        """Packed records, durable on return. Raises OSError, and then nothing of them is in the log."""
        append_durably(self._opened(slot), data)

    def drop(self, last_slot: int) -> None:
        """Forget the slots up to `last_slot`: they are in a sealed batch."""
        if self._slot <= last_slot:
            self.close()
        for slot in slots_of(self._folder):
            if slot <= last_slot:
                self._path(slot).unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            file, self._file, self._slot = self._file, None, -1
            file.close()

    def _opened(self, slot: int) -> FileIO:
        if self._file is None or slot != self._slot:
            self.close()
            path = self._path(slot)
            fresh = not path.exists()
            self._file = path.open("ab", buffering=0)
            self._slot = slot
            if fresh:
                sync_folder(self._folder)
        return self._file

    def _path(self, slot: int) -> Path:
        return self._folder / f"{slot}.log"


class SlotLogs:
    """The logs of all workers, also of those that a setting has since taken away."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def slots(self) -> list[int]:
        return sorted({slot for folder in self._folders() for slot in slots_of(folder)})

    def read(self, slot: int) -> Iterator[Record]:
        """The records of a slot, worker by worker."""
        for folder in self._folders():
            for record, _ in unpacked(_read(folder / f"{slot}.log")):
                yield record

    def sync(self, slot: int) -> None:
        """Whoever was killed may have left whole records that it did not sync: now they are. Raises OSError."""
        for folder in self._folders():
            with contextlib.suppress(FileNotFoundError), (folder / f"{slot}.log").open("rb") as file:
                os.fsync(file.fileno())
                sync_folder(folder)

    def ids(self, slot: int) -> list[bytes]:
        """The ids of the slot's statements."""
        return [record.body[:ID_BYTES] for record in self.read(slot) if record.kind == STATEMENT]

    def drop(self, last_slot: int) -> None:
        """Forget the slots up to `last_slot`: they are in a sealed batch."""
        for folder in self._folders():
            for slot in slots_of(folder):
                if slot <= last_slot:
                    (folder / f"{slot}.log").unlink(missing_ok=True)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._root.iterdir() if path.is_dir())


def _read(path: Path) -> bytes:
    """Empty when there is no such file, or none any more: its slot is in a sealed batch."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def slots_of(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.log") if path.stem.isdecimal())


def packed(record: Record) -> bytes:
    checked = _CHECKED.pack(len(record.body), record.kind)
    return _CRC.pack(crc32(record.body, crc32(checked))) + checked + record.body


def packed_statement(id: bytes, message: bytes) -> bytes:
    """The record of a durable statement; on the hot path, so without the record itself."""
    checked = _CHECKED.pack(ID_BYTES + len(message), STATEMENT) + id
    return _CRC.pack(crc32(message, crc32(checked))) + checked + message


def unpacked(data: bytes) -> Iterator[tuple[Record, int]]:
    """Whole records, each with the offset behind it."""
    at, size = 0, len(data)
    view = memoryview(data)
    while at + _HEAD.size <= size:
        checksum, length, kind = _HEAD.unpack_from(data, at)
        body = at + _HEAD.size
        at = body + length
        if length > BODY_BYTES_MAX or at > size or crc32(view[body - _CHECKED.size : at]) != checksum:
            return
        yield Record(kind, data[body:at]), at
