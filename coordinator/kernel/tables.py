"""Tables of the modules: typed columns, rows as tuples or as columns, one byte form for files and digests."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import cbor2
import numpy as np
import numpy.typing as npt

from device_client.core import cbor

Value = int | bytes
Key = tuple[Value, ...]
Row = tuple[Value, ...]
TableState = Mapping[str, Mapping[Key, Row]]  # kernel/rows.py gives them ranges
Changed = Mapping[Key, Row | None]  # None deletes
Delta = Mapping[str, Changed]
Records = Sequence[Row] | npt.NDArray[Any]  # rows, or an array of the table's dtype

U8, U32, U64, I64, ID16, HASH32, BLOB = "B", "I", "Q", "q", "16s", "32s", "blob"
ROWS_A_CALL = 1000
BLOBS_A_PIECE = 4096
_NUMBERS = {U8: "u1", U32: ">u4", U64: ">u8", I64: ">i8"}


class Column(NamedTuple):
    """A name and a type: a struct code of fixed width, or `blob` (state tables only)."""

    name: str
    type: str

    @property
    def dtype(self) -> str:
        """What numpy calls it, big-endian; byte strings of fixed width are void, which keeps their zeros."""
        return _NUMBERS.get(self.type) or f"V{self.type[:-1]}"

    @property
    def is_bytes(self) -> bool:
        return self.type not in _NUMBERS


class _Table(NamedTuple):
    name: str
    columns: tuple[Column, ...]
    key: int = 0


class Table(_Table):
    """State (`key` names how many leading columns identify a row) or records (`key` = 0: appended, never changed)."""

    @property
    def row_struct(self) -> struct.Struct:
        return struct.Struct(">" + "".join(column.type for column in self.columns))

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """A packed row; not for tables with a blob."""
        return np.dtype([(column.name, column.dtype) for column in self.columns])

    def pack(self, rows: Records) -> bytes:
        """Fixed-width big-endian rows, one behind the other."""
        if isinstance(rows, np.ndarray):
            assert rows.dtype == self.dtype, self.name
            return rows.tobytes()
        pack = self.row_struct.pack
        return b"".join([pack(*row) for row in rows])

    def unpack(self, data: bytes) -> list[Row]:
        """Rows from bytes. Raises ValueError when the length is not a whole number of rows."""
        if len(data) % self.row_struct.size:
            raise ValueError(f"{self.name}: {len(data)} bytes are not whole rows of {self.row_struct.size}")
        return list(self.row_struct.iter_unpack(data))


ColumnValues = npt.NDArray[Any] | list[bytes]  # a list for blobs


class ColumnChanges(Changed):
    """Changes by column: `values` one array or list a column of `table`, whose rows ascend by key without repetition,
    and the keys of deleted rows likewise in `deleted`, one array a key column. As a mapping it is a dictionary, made
    when first asked for."""

    def __init__(self, table: Table, values: Sequence[ColumnValues], deleted: Sequence[npt.NDArray[Any]] = ()) -> None:
        assert len(values) == len(table.columns), table.name
        self.table = table
        self.values_by_column = values
        self.deleted = deleted

    @cached_property
    def _held(self) -> dict[Key, Row | None]:
        key = self.table.key
        held: dict[Key, Row | None] = {}
        if self.deleted:
            held = dict.fromkeys(zip(*(column.tolist() for column in self.deleted), strict=True))
        for row in zip(*(_listed(column) for column in self.values_by_column), strict=True):
            held[row[:key]] = row[key:]
        return held

    def __getitem__(self, key: Key) -> Row | None:
        return self._held[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self.values_by_column[0]) + (len(self.deleted[0]) if self.deleted else 0)


def _listed(column: ColumnValues) -> list[Any]:
    return column if isinstance(column, list) else column.tolist()


def encode_delta(delta: Delta, tables: Sequence[Table]) -> bytes:
    """The one encoding of a state change, deterministic CBOR: by name of the table, those without changes left out,

        [name, rows set, [bytes of each column], rows deleted, [bytes of each column of the key]]

    both in the order of their keys. Columns are big-endian; a blob column is all lengths (u32) and then all blobs.
    """
    return b"".join(delta_pieces(delta, tables))


def delta_pieces(delta: Delta, tables: Sequence[Table]) -> Iterator[bytes]:
    """`encode_delta`, piece by piece: it may be large, and is only hashed and written."""
    assert delta.keys() <= {table.name for table in tables}, "a change of a table that nobody declared"
    changed = [table for table in sorted(tables, key=lambda table: table.name) if delta.get(table.name)]
    yield cbor.head(4, len(changed))
    for table in changed:
        changes = delta[table.name]
        if not isinstance(changes, ColumnChanges):
            changes = columns_of(table, changes)
        yield cbor.head(4, 5) + cbor.encode(table.name)
        yield from _columns_pieces(table.columns, changes.values_by_column)
        yield from _columns_pieces(table.columns[: table.key], changes.deleted)


def _columns_pieces(columns: Sequence[Column], values: Sequence[ColumnValues]) -> Iterator[bytes]:
    """How many rows, and their columns."""
    count = len(values[0]) if len(values) else 0
    yield cbor.encode(count) + cbor.head(4, len(values))
    for column, of_column in zip(columns, values, strict=False):
        if isinstance(of_column, list):
            lengths = [len(value) for value in of_column]
            yield cbor.head(2, 4 * count + sum(lengths)) + np.array(lengths, ">u4").tobytes()
            for at in range(0, count, BLOBS_A_PIECE):
                yield b"".join(of_column[at : at + BLOBS_A_PIECE])
        else:
            data = of_column.astype(column.dtype, copy=False).tobytes()
            yield cbor.head(2, len(data)) + data


def columns_of(table: Table, changes: Changed) -> ColumnChanges:
    """Changes by row as changes by column."""
    rows = [at + row for at, row in sorted((at, row) for at, row in changes.items() if row is not None)]
    deleted = sorted(at for at, row in changes.items() if row is None)
    return ColumnChanges(
        table,
        [column_of(column, [row[at] for row in rows]) for at, column in enumerate(table.columns)],
        [column_of(column, [row[at] for row in deleted]) for at, column in enumerate(table.columns[: table.key])]  # type: ignore[misc]
        if deleted
        else (),
    )


def column_of(column: Column, values: list[Any]) -> ColumnValues:
    """Values of one column as they are kept by column. Raises OverflowError for what does not fit."""
    is_bytes = column.is_bytes
    assert all(type(value) is (bytes if is_bytes else int) for value in values), f"{column.name} has no encoding"
    if column.type == BLOB:
        return values
    if is_bytes:
        width = int(column.type[:-1])
        assert all(len(value) == width for value in values), f"{column.name} has another width"
        return np.frombuffer(b"".join(values), f"V{width}")
    return np.array(values, column.dtype)


def decode_delta(data: bytes, tables: Sequence[Table]) -> Delta:
    """What `encode_delta` has encoded; for what we have written ourselves."""
    by_name = {table.name: table for table in tables}
    found: dict[str, Changed] = {}
    for name, count, values, deleted_count, deleted in cbor2.loads(data):
        table = by_name[name]
        found[name] = ColumnChanges(
            table,
            [_decoded(column, of_column, count) for column, of_column in zip(table.columns, values, strict=True)],
            [
                _decoded(column, of_column, deleted_count)  # type: ignore[misc]
                for column, of_column in zip(table.columns, deleted, strict=False)
            ],
        )
    return found


def _decoded(column: Column, data: bytes, count: int) -> ColumnValues:
    if column.type != BLOB:
        return np.frombuffer(data, column.dtype)
    ends = np.cumsum(np.frombuffer(data, ">u4", count), dtype=np.int64) + 4 * count
    bounds = [4 * count, *ends.tolist()]
    return [data[start:stop] for start, stop in pairwise(bounds)]


def encode_rows(rows: Sequence[tuple[object, ...]]) -> bytes:
    """An array of plain values, the same bytes as by device_client.core.cbor, in C; but some rows a call, because no
    other thread runs before a call is over."""
    parts = [cbor.head(4, len(rows))]
    for at in range(0, len(rows), ROWS_A_CALL):
        part = rows[at : at + ROWS_A_CALL]
        parts.append(cbor2.dumps(part)[len(cbor.head(4, len(part))) :])
    return b"".join(parts)


def deleted_keys(changes: Changed) -> list[Key]:
    """The keys whose rows are gone."""
    if isinstance(changes, ColumnChanges):
        return list(zip(*(column.tolist() for column in changes.deleted), strict=True))
    return [key for key, row in changes.items() if row is None]


def rows_set(changes: Changed) -> list[Row]:
    """Whole rows that are there afterwards, new or changed."""
    if isinstance(changes, ColumnChanges):
        return list(zip(*(_listed(column) for column in changes.values_by_column), strict=True))
    return [key + row for key, row in changes.items() if row is not None]


def rows_in(records: Records) -> list[Row]:
    """Records as tuples."""
    return records.tolist() if isinstance(records, np.ndarray) else list(records)
