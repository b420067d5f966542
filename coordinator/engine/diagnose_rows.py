"""Rows of fixed width that are not what they should be: which row, and which column."""

import hashlib
import struct
from collections.abc import Iterable, Mapping

from coordinator.kernel.tables import Row, Table, Value
from coordinator.modules import MODULES

from .packing import REFUSALS
from .repair import Fault, near, part_of

TABLES: Mapping[str, Table] = {
    **{f"{table.name}.rows": table for module in MODULES for table in module.records},
    "refusals.rows": REFUSALS,
}
SEARCHED_BYTES_MAX = 1 << 14  # every try hashes the file


def shown(value: Value) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def difference(table: Table, have: bytes, want: bytes) -> Fault:
    """The first row that is not what the inputs give; the two must differ."""
    size = table.row_struct.size
    if len(have) % size:
        return Fault("length", f"{len(have)} bytes are not whole rows of {size}")
    rows, wanted = table.unpack(have), table.unpack(want)
    at = next((index for index, pair in enumerate(zip(rows, wanted, strict=False)) if pair[0] != pair[1]), -1)
    if len(rows) != len(wanted):
        first = min(len(rows), len(wanted)) if at < 0 else at
        return Fault("row", f"row {first}: here are {len(rows)} rows, the inputs give {len(wanted)}")
    if sorted(rows) == sorted(wanted):
        return Fault("order", f"row {at} is not in its place")
    for column, one, other in zip(table.columns, rows[at], wanted[at], strict=True):
        if one != other:
            return Fault(column.name, f"row {at} has {shown(one)}, the inputs give {shown(other)}")
    raise AssertionError("no difference")


def refusals(data: bytes, size: int, digest: bytes, devices: Iterable[bytes], slots: range) -> Fault:
    """Refusals follow from nothing that is published: only their hash speaks. A row is searched that gives it back."""
    width = REFUSALS.row_struct.size
    if len(data) % width:
        return Fault("length", f"{len(data)} bytes are not whole rows of {width}")
    rows = REFUSALS.unpack(data)
    if len(data) != size:
        return Fault("row", f"here are {len(rows)} rows, the header speaks of {size // width}")
    if hashlib.sha256(REFUSALS.pack(sorted(rows))).digest() == digest:
        return Fault("order", "the rows are not in their order")
    if len(set(rows)) < len(rows):
        return Fault("row", "a row stands in it twice")
    if len(data) > SEARCHED_BYTES_MAX:
        return Fault("", "does not have the hash that the header gives")
    names = [column.name for column in REFUSALS.columns]
    known = list(devices)
    for index, row in enumerate(rows):

        def holds(name: str, value: Value, index: int = index, row: Row = row) -> bool:
            repaired = list(row)
            repaired[names.index(name)] = value
            try:
                packed = REFUSALS.pack([tuple(repaired)])
            except struct.error:
                return False  # no column holds it
            changed = data[: index * width] + packed + data[(index + 1) * width :]
            return hashlib.sha256(changed).digest() == digest

        candidates: dict[str, Iterable[Value]] = {
            "code": range(256),
            "slot": slots,
            "device": known,
            "boot": near(int(row[1]), 300),
            "seq": near(int(row[2]), 300),
        }
        if part := part_of(candidates, holds):
            return Fault(part, f"row {index} is not the one that the header's hash covers")
    return Fault("id8", "no other column of one row gives back the hash in the header: an id8, or several at once")
