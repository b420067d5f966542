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
        # Byte strings of numpy are filled with zeros up to their width, and come back without those at the end.
        matrix = np.array(held, f"S{width}")
        some = slice(*np.searchsorted(group, (first, first + len(held))))
        bits = np.left_shift(1, window[some] % 8).astype(np.uint8)
        np.bitwise_or.at(matrix.view(np.uint8), (group[some] - first) * width + window[some] // 8, bits)
        found += matrix.tolist()
    return found
