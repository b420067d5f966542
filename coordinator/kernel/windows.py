"""Sets of presence windows as bitmaps, a value that stores well: window i is bit i % 8 of byte i // 8, and zero bytes
at the end are left out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CHUNK_BYTES = 1 << 24


def marks(bitmap: bytes) -> int:
    """How many windows are set."""
    return int.from_bytes(bitmap, "little").bit_count()


def marks_of(bitmaps: Sequence[bytes]) -> Array:
    """How many windows are set in each."""
    return np.fromiter((int.from_bytes(bitmap, "little").bit_count() for bitmap in bitmaps), np.int64, len(bitmaps))


def marked(bitmaps: list[bytes], group: Array, window: Array) -> list[bytes]:
    """The bitmaps with more windows set: `window[i]` in that of number `group[i]`; groups ascend."""
    if not len(group):
        return bitmaps
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    base = np.zeros(len(bitmaps), np.int64)
    base[group[starts]] = np.minimum.reduceat(window, starts) // 8
    bit = window - 8 * base[group]
    width = int(bit.max()) // 8 + 1
    found = list(bitmaps)
    chunk = max(1, CHUNK_BYTES // (8 * width))
    for first in range(0, len(bitmaps), chunk):
        some = slice(*np.searchsorted(group, (first, first + chunk)))
        held = bitmaps[first : first + chunk]
        bits = np.zeros((len(held), 8 * width), bool)
        bits[group[some] - first, bit[some]] = True
        packed = np.packbits(bits, axis=1, bitorder="little")
        touched = np.flatnonzero(packed.any(axis=1))
        if len(touched):
            _merge(found, first, touched, base[first : first + chunk].tolist(), packed, width)
    return found


def _merge(found: list[bytes], first: int, touched: Array, base: list[int], packed: Array, width: int) -> None:
    new = packed.tobytes()
    for at in touched.tolist():
        held, offset = found[first + at], base[at]
        row = new[at * width : (at + 1) * width]
        if len(held) > offset:
            end = offset + width
            both = int.from_bytes(held[offset:end], "little") | int.from_bytes(row, "little")
            merged = held[:offset] + both.to_bytes(width, "little") + held[end:]
        else:
            merged = held.ljust(offset, b"\0") + row
        found[first + at] = merged.rstrip(b"\0")
