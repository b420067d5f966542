"""The flash of a board: where everything lies, and the partition table that says so to the boot loader and MicroPython.

Source: ESP-IDF, "Partition Tables": 32-byte entries at 0x8000, the MD5 of those before it in an entry of its own, the
rest 0xFF; partitions lie on sectors of 4 KiB, those with a program on 64 KiB. The layout is that of MicroPython's own
4 MB boards, but for `outbox`, which is cut off the end of `vfs`. Boards with more flash leave the rest unused. Behind
the table, in the same sector, stands the network that the board was made for: its key and outbox belong to it.
"""

import hashlib
import struct
from typing import NamedTuple

SECTOR_BYTES = 0x1000
TABLE_AT, TABLE_BYTES = 0x8000, 0xC00
FLASH_BYTES_MIN = 0x400000
APP_ALIGNMENT = 0x10000
ENTRIES_MAX = TABLE_BYTES // 32 - 1  # one is the MD5
APP, DATA = 0, 1
_ENTRY, _ENTRY_MAGIC, _MD5_MAGIC = "<2sBBII16sI", b"\xaa\x50", b"\xeb\xeb"
_NETWORK = b"edgetally network "
BOOTLOADER_AT = {"esp32": 0x1000, "esp32s3": 0x0, "esp32c3": 0x0}
"""Where the boot ROM of a chip looks for the boot loader, and so where a MicroPython image begins."""


class TableError(ValueError):
    """No partition table, or one that the boot loader would refuse; its text says which partition and why."""


class Partition(NamedTuple):
    """`kind` 0 is a program, 1 is data; `subtype` as the ESP-IDF numbers them, from 0x40 on free to use."""

    label: str
    kind: int
    subtype: int
    address: int
    size: int

    @property
    def end(self) -> int:
        return self.address + self.size


LAYOUT = (
    Partition("nvs", DATA, 0x02, 0x9000, 0x6000),
    Partition("phy_init", DATA, 0x01, 0xF000, 0x1000),
    Partition("factory", APP, 0x00, 0x10000, 0x1F0000),
    Partition("vfs", DATA, 0x81, 0x200000, 0xC0000),
    Partition("outbox", DATA, 0x40, 0x2C0000, 0x140000),
)


def named(label: str, layout: tuple[Partition, ...] = LAYOUT) -> Partition:
    """Raises TableError."""
    for one in layout:
        if one.label == label:
            return one
    raise TableError(f"partition table: no {label}")


def check(layout: tuple[Partition, ...], flash_bytes: int) -> None:
    """Raises TableError for what a boot loader refuses, or what would overwrite something else."""
    if not layout or len(layout) > ENTRIES_MAX:
        raise TableError(f"partition table: {len(layout)} partitions; it holds 1 to {ENTRIES_MAX}")
    labels = [one.label for one in layout]
    if len(set(labels)) != len(labels):
        raise TableError("partition table: two partitions of one name")
    free_from = TABLE_AT + SECTOR_BYTES
    for one in sorted(layout, key=lambda each: each.address):
        if not 0 < len(one.label.encode()) < 16:
            raise TableError(f"partition {one.label!r}: a name has 1 to 15 bytes")
        alignment = APP_ALIGNMENT if one.kind == APP else SECTOR_BYTES
        if one.address % alignment or one.size % SECTOR_BYTES or one.size <= 0:
            raise TableError(f"partition {one.label}: begins on 0x{alignment:x} and fills sectors of 0x1000")
        if one.address < free_from:
            raise TableError(f"partition {one.label}: at 0x{one.address:x} lies over what ends at 0x{free_from:x}")
        if one.end > flash_bytes:
            raise TableError(f"partition {one.label}: ends at 0x{one.end:x}, the flash at 0x{flash_bytes:x}")
        free_from = one.end


def table(genesis: bytes = b"", layout: tuple[Partition, ...] = LAYOUT, flash_bytes: int = FLASH_BYTES_MIN) -> bytes:
    """The sector at 0x8000 of a board for the network `genesis`, b"" for none yet. Raises TableError."""
    check(layout, flash_bytes)
    entries = b"".join(
        struct.pack(_ENTRY, _ENTRY_MAGIC, one.kind, one.subtype, one.address, one.size, one.label.encode(), 0)
        for one in layout
    )
    made = entries + _MD5_MAGIC + b"\xff" * 14 + hashlib.md5(entries, usedforsecurity=False).digest()
    made = made.ljust(TABLE_BYTES, b"\xff")  # the boot loader reads no further
    return (made + (_NETWORK + genesis if genesis else b"")).ljust(SECTOR_BYTES, b"\xff")


def parsed(data: bytes) -> tuple[Partition, ...]:
    """What a table's bytes say, in order. Raises TableError."""
    found: list[Partition] = []
    for at in range(0, min(len(data), TABLE_BYTES), 32):
        entry = data[at : at + 32]
        if entry[:2] == _MD5_MAGIC:
            if entry[16:] != hashlib.md5(data[:at], usedforsecurity=False).digest():
                raise TableError("partition table: the MD5 does not match")
            return tuple(found)
        if len(entry) < 32 or entry[:2] != _ENTRY_MAGIC:
            break
        _, kind, subtype, address, size, label, _ = struct.unpack(_ENTRY, entry)
        found.append(Partition(label.split(b"\0")[0].decode("ascii", "replace"), kind, subtype, address, size))
    raise TableError("partition table: not one with an MD5")
