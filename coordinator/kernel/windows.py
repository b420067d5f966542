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
    width = max(int(window.max()) // 8 + 1, max(map(len, bitmaps)))
    found: list[bytes] = []
    for first in range(0, len(bitmaps), max(1, CHUNK_BYTES // width)):
        held = bitmaps[first : first + max(1, CHUNK_BYTES // width)]
        matrix = np.frombuffer(bytearray().join([bitmap.ljust(width, b"\0") for bitmap in held]), np.uint8)
        some = slice(*np.searchsorted(group, (first, first + len(held))))
        bits = np.left_shift(1, window[some] % 8).astype(np.uint8)
        np.bitwise_or.at(matrix, (group[some] - first) * width + window[some] // 8, bits)
        data = matrix.tobytes()
        found += [data[at : at + width].rstrip(b"\0") for at in range(0, len(data), width)]
    return found
