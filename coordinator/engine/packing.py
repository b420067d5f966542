"""The input files of a batch, and the file of readings beside it, as bytes: envelopes framed by their length, and rows.

What is in an envelope is not looked at here; that its length can be one is.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

from coordinator.kernel.statements import StatementRow
from coordinator.kernel.tables import ID16, U8, U32, U64, Column, Row, Table

from .content import Content

STATEMENT_FRAME = struct.Struct(">QI")
_OWNER_FRAME = struct.Struct(">I")
_READINGS_FRAME = struct.Struct(">I16sI")
ENVELOPE_BYTES_MAX = 2048
STATEMENTS_A_PIECE = 4096
Readings = dict[int, tuple[bytes, bytes]]  # index of the statement in its batch -> (salt, readings)

REFUSALS = Table(
    "refusals",
    (
        Column("device", ID16),
        Column("boot", U32),
        Column("seq", U32),
        Column("id8", "8s"),
        Column("slot", U64),
        Column("code", U8),
    ),
)


class BadInput(ValueError):
    """Something in a batch that no honest coordinator would have put there."""


def pack_statements(rows: Sequence[StatementRow], envelopes: Sequence[bytes]) -> Content:
    """`envelopes[i]` belongs to `rows[i]`."""
    return packed([row.slot for row in rows], envelopes)


def packed(slots: Sequence[int], envelopes: Sequence[bytes]) -> Content:
    def pieces() -> Iterator[bytes]:
        pack = STATEMENT_FRAME.pack
        for at in range(0, len(envelopes), STATEMENTS_A_PIECE):
            some = envelopes[at : at + STATEMENTS_A_PIECE]
            framed = zip(slots[at : at + STATEMENTS_A_PIECE], some, strict=True)
            yield b"".join([pack(slot, len(envelope)) + envelope for slot, envelope in framed])

    return Content(pieces)


def unpack_statements(data: bytes) -> list[tuple[int, bytes]]:
    """(slot, envelope) of each statement. Raises BadInput."""
    found = []
    at = 0
    while at < len(data):
        if at + STATEMENT_FRAME.size > len(data):
            raise BadInput("truncated")
        slot, length = STATEMENT_FRAME.unpack_from(data, at)
        at += STATEMENT_FRAME.size
        if not 0 < length <= ENVELOPE_BYTES_MAX or at + length > len(data):
            raise BadInput(f"impossible length {length}")
        found.append((slot, data[at : at + length]))
        at += length
    return found


def pack_owner_messages(envelopes: list[bytes]) -> bytes:
    return b"".join(_OWNER_FRAME.pack(len(envelope)) + envelope for envelope in envelopes)


def unpack_owner_messages(data: bytes) -> list[bytes]:
    """Raises BadInput."""
    found = []
    at = 0
    while at < len(data):
        if at + _OWNER_FRAME.size > len(data):
            raise BadInput("truncated")
        (length,) = _OWNER_FRAME.unpack_from(data, at)
        at += _OWNER_FRAME.size
        if not 0 < length <= ENVELOPE_BYTES_MAX or at + length > len(data):
            raise BadInput(f"impossible length {length}")
        found.append(data[at : at + length])
        at += length
    return found


def pack_readings(readings: Readings) -> bytes:
    return b"".join(
        _READINGS_FRAME.pack(index, salt, len(data)) + data for index, (salt, data) in sorted(readings.items())
    )


def unpack_readings(data: bytes) -> Readings:
    """Raises BadInput. Indices must ascend."""
    found: Readings = {}
    at, last = 0, -1
    while at < len(data):
        if at + _READINGS_FRAME.size > len(data):
            raise BadInput("truncated")
        index, salt, length = _READINGS_FRAME.unpack_from(data, at)
        at += _READINGS_FRAME.size
        if index <= last or length > ENVELOPE_BYTES_MAX or at + length > len(data):
            raise BadInput("index out of order or impossible length")
        found[index] = (salt, data[at : at + length])
        at, last = at + length, index
    return found


def sorted_refusals(rows: Iterable[Row]) -> list[Row]:
    """Refusal rows once each, in canonical order."""
    return sorted(set(rows))
