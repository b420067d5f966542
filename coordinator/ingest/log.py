"""The intake's append log: one file for each open slot, a group of records made durable by one fsync.

A record is crc32 (4) | length (4) | kind (1) | body. A torn tail was never receipted and is cut off on start.
"""

import os
import struct
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from device_client.durable import append_durably, sync_folder

_HEAD = struct.Struct(">IIB")
STATEMENT = 1  # body: the message as received
REFUSAL = 2  # body: one packed row of refusals
BODY_BYTES_MAX = 4096


class Record(NamedTuple):
    kind: int
    body: bytes


class IntakeLog:
    """Appends to the file of the current slot; reads whole slots back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._slot = -1
        self._file: FileIO | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, slot: int, records: list[Record]) -> None:
        """Durable on return. Raises OSError, and then nothing of the group is in the log."""
        append_durably(self._opened(slot), b"".join(packed(record) for record in records))

    def slots(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.log") if path.stem.isdecimal())

    def read(self, slot: int) -> list[Record]:
        """All whole records of a slot; a torn tail is cut off the file."""
        path = self._path(slot)
        if not path.exists():
            return []
        data = path.read_bytes()
        records, end = unpacked(data)
        if end != len(data) and slot != self._slot:
            os.truncate(path, end)
        return records

    def drop(self, last_slot: int) -> None:
        """Forget the slots up to `last_slot`: they are in a sealed batch."""
        if self._slot <= last_slot:
            self.close()
        for slot in self.slots():
            if slot <= last_slot:
                self._path(slot).unlink()

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


def packed(record: Record) -> bytes:
    checked = struct.pack(">IB", len(record.body), record.kind) + record.body
    return struct.pack(">I", crc32(checked)) + checked


def unpacked(data: bytes) -> tuple[list[Record], int]:
    """Whole records, and the offset behind the last of them."""
    records = []
    at = 0
    while at + _HEAD.size <= len(data):
        checksum, length, kind = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        if length > BODY_BYTES_MAX or end > len(data) or crc32(data[at + 4 : end]) != checksum:
            break
        records.append(Record(kind, data[at + _HEAD.size : end]))
        at = end
    return records, at
