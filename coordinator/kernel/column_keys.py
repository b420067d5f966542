"""Keys of a table as byte strings of one width that compare as the keys do, so that numpy finds them in sorted columns.

Numbers are big-endian, signed ones moved up by half of their range.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .tables import BLOB, I64, U64, Column, Table, Value

Array = npt.NDArray[Any]

_HALF = 1 << 63


class Keys:
    """`fixed` is their dtype. It is S, not V, which numpy does not order; zeros at the end are not lost in comparing,
    because all have one width."""

    def __init__(self, table: Table) -> None:
        self._columns = table.columns[: table.key]
        assert self._columns and all(column.type != BLOB for column in self._columns), table.name
        self._packers = [_packer(column) for column in self._columns]
        widths = [struct.calcsize(">" + column.type) for column in self._columns]
        self._ends = [sum(widths[: at + 1]) for at in range(len(widths))]
        self.width = self._ends[-1]
        self.fixed = np.dtype(f"S{self.width}")

    def of(self, key: Sequence[Value]) -> bytes | None:
        """A key or the beginning of one. None for what no key can be or begin with."""
        if len(key) > len(self._packers):
            return None
        try:
            return b"".join([pack(value) for pack, value in zip(self._packers, key, strict=False)])
        except struct.error:
            return None

    def whole(self, key: object) -> bytes | None:
        """None for what no key can be."""
        return self.of(key) if isinstance(key, tuple) and len(key) == len(self._packers) else None

    def of_columns(self, columns: Sequence[Array], filled: int = 0) -> Array:
        """Keys, or the beginnings of keys, from their columns; what is left of the width has all bytes `filled`."""
        matrix = np.full((len(columns[0]), self.width), filled, np.uint8)
        start = 0
        for column, values, stop in zip(self._columns, columns, self._ends, strict=False):
            data = np.ascontiguousarray(values, column.dtype)
            if column.type == I64:
                data = (data.astype(np.int64).view(np.uint64) ^ np.uint64(_HALF)).astype(">u8")
            matrix[:, start:stop] = data.view(np.uint8).reshape(len(data), stop - start)
            start = stop
        return matrix.reshape(-1).view(self.fixed)


def _packer(column: Column) -> Callable[[Any], bytes]:
    """Raises struct.error for what the column does not hold."""
    if column.type.endswith("s"):
        return _of_width(int(column.type[:-1]))
    if column.type == I64:
        pack = struct.Struct(">" + U64).pack
        return lambda value: pack(_moved(value))
    return struct.Struct(">" + column.type).pack


def _moved(value: Any) -> int:
    if type(value) is not int:
        raise struct.error("not a number")
    return value + _HALF


def _of_width(width: int) -> Callable[[Any], bytes]:
    def packed(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != width:
            raise struct.error("another width")
        return value

    return packed
