"""The flash chip of a simulated board: one file, the rules of NOR flash, and a partition table that is read for real.

Programming can only clear bits, erasing sets a sector of 4 KiB to 0xFF. Every call is one write of the file, so ending
the process at any moment (`kill -9`) is a power cut between two of them.
Source: ESP-IDF, "Partition Tables" (the table at 0x8000, 32-byte entries, the MD5 entry).
"""

import struct
from hashlib import md5

SECTOR_BYTES = 4096
TABLE_AT, _TABLE_BYTES, _ENTRY_BYTES = 0x8000, 0xC00, 32
_ENTRY_MAGIC, _MD5_MAGIC = b"\xaa\x50", b"\xeb\xeb"


class NoTable(Exception):
    """The boot loader would not go on: its text says what is wrong with the partition table."""


class Flash:
    """`erases` and `programs` count the calls since the start, for measuring wear."""

    def __init__(self, file, size):
        self._file = file
        self._erased = b"\xff" * SECTOR_BYTES
        self.size = size
        self.erases = self.programs = 0

    def read(self, at, buffer):
        """Fill `buffer`."""
        self._file.seek(at)
        self._file.readinto(buffer)

    def program(self, at, data):
        held = bytearray(len(data))
        self.read(at, held)
        for index, byte in enumerate(data):
            held[index] &= byte
        self._file.seek(at)
        self._file.write(held)
        self.programs += 1

    def erase(self, at):
        """One sector."""
        self._file.seek(at)
        self._file.write(self._erased)
        self.erases += 1


def partitions(flash):
    """[(type, subtype, address, size, label, encrypted)] in the order of the table. Raises NoTable."""
    table = bytearray(_TABLE_BYTES)
    flash.read(TABLE_AT, table)
    found = []
    for at in range(0, _TABLE_BYTES, _ENTRY_BYTES):
        entry = bytes(table[at : at + _ENTRY_BYTES])
        if entry[:2] == _MD5_MAGIC:
            if entry[16:] != md5(table[:at]).digest():
                raise NoTable("partition table: MD5 does not match")
            break
        if entry == b"\xff" * _ENTRY_BYTES:
            break
        if entry[:2] != _ENTRY_MAGIC:
            raise NoTable("partition table: entry %d has no magic" % len(found))
        kind, subtype, address, size = struct.unpack("<BBII", entry[2:12])
        label, flags = entry[12:28].split(b"\0")[0].decode(), struct.unpack("<I", entry[28:])[0]
        if address + size > flash.size:
            raise NoTable("partition table: %s ends behind the flash chip" % label)
        found.append((kind, subtype, address, size, label, bool(flags & 1)))
    if not found:
        raise NoTable("partition table: empty")
    return found
