"""Tables of the modules: typed columns, rows as tuples, one byte form for files and digests."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cbor2

from device_client.core import cbor

Value = int | bytes
Key = tuple[Value, ...]
Row = tuple[Value, ...]
TableState = Mapping[str, Mapping[Key, Row]]  # kernel/rows.py gives them ranges
Delta = dict[str, dict[Key, Row | None]]  # None deletes

U8, U32, U64, I64, ID16, HASH32, BLOB = "B", "I", "Q", "q", "16s", "32s", "blob"
ROWS_A_CALL = 1000


class Column(NamedTuple):
    """A name and a type: a struct code of fixed width, or `blob` (state tables only)."""

    name: str
    type: str


class Table(NamedTuple):
    """State (`key` names how many leading columns identify a row) or records (`key` = 0: appended, never changed)."""

    name: str
    columns: tuple[Column, ...]
    key: int = 0

    @property
    def row_struct(self) -> struct.Struct:
        return struct.Struct(">" + "".join(column.type for column in self.columns))

    def pack(self, rows: Iterable[Row]) -> bytes:
        """Fixed-width big-endian rows, one behind the other."""
        pack = self.row_struct.pack
        return b"".join([pack(*row) for row in rows])

    def unpack(self, data: bytes) -> list[Row]:
        """Rows from bytes. Raises ValueError when the length is not a whole number of rows."""
        if len(data) % self.row_struct.size:
            raise ValueError(f"{self.name}: {len(data)} bytes are not whole rows of {self.row_struct.size}")
        return list(self.row_struct.iter_unpack(data))


def encode_delta(delta: Delta) -> bytes:
    """The one encoding of a state change: tables by name, rows by key, a deleted row as its key alone."""
    tables = []
    for name in sorted(delta):
        rows = [(key, () if row is None else row) for key, row in sorted(delta[name].items())]
        for key, row in rows:
            assert _is_plain(key) and _is_plain(row), f"{name} of {key!r} has no encoding"
        if rows:
            tables.append(cbor.head(4, 2) + cbor.encode(name) + encode_rows(rows))
    return cbor.head(4, len(tables)) + b"".join(tables)


def encode_rows(rows: Sequence[tuple[object, ...]]) -> bytes:
    """An array of plain values, the same bytes as by device_client.core.cbor, in C; but some rows a call, because no
    other thread runs before a call is over."""
    parts = [cbor.head(4, len(rows))]
    for at in range(0, len(rows), ROWS_A_CALL):
        part = rows[at : at + ROWS_A_CALL]
        parts.append(cbor2.dumps(part)[len(cbor.head(4, len(part))) :])
    return b"".join(parts)


def _is_plain(values: Row) -> bool:
    """Whether all are byte strings, or integers that CBOR writes without a tag."""
    for value in values:
        if type(value) is int:
            if not -(1 << 64) <= value < 1 << 64:
                return False
        elif type(value) is not bytes:
            return False
    return True
