"""What a batch is made of, as bytes and as rows: statements with their slots, owner messages, measurements, refusals.

Order is canonical, by (device, boot, seq, id), never by arrival. The same functions read a folder for an auditor and
write one for the sealer.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import cbor2

from coordinator.kernel.module import OwnerRow
from coordinator.kernel.parameters import UnitRule
from coordinator.kernel.rows import rows_of
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.kernel.tables import ID16, U8, U32, U64, Column, Row, Table, TableState, Value
from coordinator.modules import sensing
from device_client.core import cose
from device_client.core.statement import KIND_ENROLL, KIND_REPORT

from . import wire
from .beacons import BeaconChain
from .content import Content
from .owner_wire import Keys, owner_row
from .report_shape import ReportShape
from .wire import Refused

STATEMENT_FRAME = struct.Struct(">QI")
_OWNER_FRAME = struct.Struct(">I")
_READINGS_FRAME = struct.Struct(">I16sI")
ENVELOPE_BYTES_MAX = 2048
STATEMENTS_A_PIECE = 4096
_IN_ORDER = attrgetter("device", "boot", "seq", "id", "slot")

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


class Held(NamedTuple):
    """A statement in the intake, decoded; with its envelope, and the readings beside it (empty when there are none)."""

    row: StatementRow
    envelope: bytes
    salt: bytes
    readings: bytes


class Inputs(NamedTuple):
    """Decoded inputs in canonical order; `packed` is what statements.bin holds."""

    statements: Statements
    packed: Content
    owner_rows: list[OwnerRow]
    owner_envelopes: list[bytes]


class BadInput(ValueError):
    """Something in a batch that no honest coordinator would have put there."""


def read_statements(
    held: Iterable[tuple[int, bytes]], beacons: BeaconChain, genesis: bytes
) -> tuple[list[StatementRow], list[bytes]]:
    """Decode statements in canonical order; `measured` is filled in later, signatures are checked in signatures.py.

    Raises BadInput.
    """
    found: list[tuple[StatementRow, bytes]] = []
    shape = ReportShape(genesis)
    for slot, envelope in held:
        try:
            signed, claims, body = _taken_apart(envelope, shape, genesis)
        except Refused as error:
            raise BadInput(f"a statement of slot {slot} is not one: {error}") from error
        found.append((_row(slot, signed, claims, body, beacons), envelope))
    found.sort(key=lambda item: _IN_ORDER(item[0]))
    return [row for row, _ in found], [envelope for _, envelope in found]


def read_message(slot: int, message: bytes, shape: ReportShape, beacons: BeaconChain, genesis: bytes) -> Held:
    """Decode what the intake has let through. Raises BadInput."""
    report = shape.taken_apart(message)
    if report is None:
        try:
            envelope, salt, readings = wire.message_parts(message)
            signed, claims, body = _taken_apart(envelope, shape, genesis)
        except Refused as error:
            raise BadInput(f"a statement of slot {slot} is not one: {error}") from error
        return Held(_row(slot, signed, claims, body, beacons), envelope, salt, readings)
    row = StatementRow(
        slot,
        report.device,
        report.boot,
        report.seq,
        report.id,
        report.prev,
        KIND_REPORT,
        beacons.number_of(report.nonce),
        report.uptime_s,
        report.body(),
        sensing.NOTHING_MEASURED,
    )
    _check_quoted(row)
    return Held(row, report.envelope, report.salt, report.readings)


def in_order(held: Sequence[Held]) -> list[Held]:
    """Each envelope once, in the first slot that it came in, in canonical order."""
    unique: dict[bytes, Held] = {}
    for one in reversed(held):
        again = unique.get(one.envelope)
        if again is not None and not one.salt:
            one = one._replace(salt=again.salt, readings=again.readings)
        unique[one.envelope] = one
    by_device: dict[bytes, list[Held]] = {}  # many short sorts, between which other threads run
    for one in unique.values():
        by_device.setdefault(one.row.device, []).append(one)
    return [
        one for device in sorted(by_device) for one in sorted(by_device[device], key=lambda one: _IN_ORDER(one.row))
    ]


def _row(slot: int, signed: wire.Signed, claims: wire.Claims, body: list[object], beacons: BeaconChain) -> StatementRow:
    row = StatementRow(
        slot,
        signed.kid,
        claims.boot,
        claims.seq,
        signed.id,
        claims.prev,
        claims.kind,
        beacons.number_of(claims.nonce),
        claims.uptime_s,
        body,
        sensing.NOTHING_MEASURED,
    )
    _check_quoted(row)
    return row


def _check_quoted(row: StatementRow) -> None:
    if row.quoted > row.slot:
        raise BadInput(f"statement {row.id.hex()} of slot {row.slot} quotes the later beacon {row.quoted}")


def _taken_apart(envelope: bytes, shape: ReportShape, genesis: bytes) -> tuple[wire.Signed, wire.Claims, list[object]]:
    report = shape.envelope_taken_apart(envelope)
    if report is not None:
        signed, claims = report.in_wire_terms()
        return signed, claims, claims.body
    signed = wire.envelope(envelope, cose.TYPE_STATEMENT, genesis)
    claims = wire.claims(signed.payload)
    return signed, claims, wire.checked_body(claims)


def read_owner_messages(envelopes: Iterable[bytes], genesis: bytes, keys: Keys) -> tuple[list[OwnerRow], list[bytes]]:
    """Decode and verify owner messages, by (account, nonce, id), each once. Raises BadInput."""
    found: dict[bytes, tuple[OwnerRow, bytes]] = {}
    for envelope in envelopes:
        try:
            row = owner_row(envelope, genesis, keys)
        except Refused as error:
            raise BadInput(f"an owner message is not one: {error}") from error
        if row.id in found:
            raise BadInput(f"owner message {row.id.hex()} stands in it twice")
        found[row.id] = row, envelope
    return in_owner_order(found.values())


def in_owner_order(found: Iterable[tuple[OwnerRow, bytes]]) -> tuple[list[OwnerRow], list[bytes]]:
    """Rows and envelopes in canonical order."""
    ordered = sorted(found, key=lambda item: (item[0].account, item[0].nonce, item[0].id))
    return [row for row, _ in ordered], [envelope for _, envelope in ordered]


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


Readings = dict[int, tuple[bytes, bytes]]  # index of the statement in its batch -> (salt, readings)


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


Memories = dict[bytes, sensing.Memory]


class Measured(NamedTuple):
    """Codes by statement, the memories that changed, the devices some of whose readings were not there; and of every
    public reading set (device, slot, boot, seq, dt_ms, encoded values): what pages and API look up."""

    codes: list[int]
    memories: Memories
    unknown: set[bytes]
    rows: list[Row]


class Declared(NamedTuple):
    """What a device declared at enrolment about its readings."""

    channels: list[list[object]]
    readings_public: bool


def declared(rows: Sequence[StatementRow], state: TableState) -> dict[bytes, Declared]:
    """The declaration of every device that speaks in a batch, from the state or from its enrolment in the batch."""
    found: dict[bytes, Declared] = {}
    devices = rows_of(state, "devices")
    devices.prefetch((row.device,) for row in rows)
    channels: dict[Value, list[list[object]]] = {}  # most devices declare what others do
    for row in rows:
        if row.device in found:
            continue
        known = devices.get((row.device,))
        if known:
            if known[7] not in channels:
                channels[known[7]] = wire.decoded(known[7])  # type: ignore[arg-type]
            found[row.device] = Declared(channels[known[7]], bool(known[5]))
        elif row.kind == KIND_ENROLL:
            found[row.device] = Declared(row.body[6], bool(row.body[4]))
    return found


def reports_with(rows: Sequence[StatementRow], declarations: Mapping[bytes, Declared], public: bool) -> set[int]:
    """Indices of the reports of enrolled devices whose readings are public (or private)."""
    return {
        index
        for index, row in enumerate(rows)
        if row.kind == KIND_REPORT and row.device in declarations
        if declarations[row.device].readings_public == public
    }


def measured(
    rows: Sequence[StatementRow],
    readings: Readings,
    declarations: Mapping[bytes, Declared],
    memories: Mapping[bytes, sensing.Memory],
    units: Mapping[str, UnitRule],
) -> Measured:
    """What sensing finds in the readings of each report. A report without its readings makes its device unknown."""
    changed: Memories = {}
    codes = [sensing.NOTHING_MEASURED] * len(rows)
    unknown: set[bytes] = set()
    public: list[Row] = []
    for index, row in enumerate(rows):
        device = row.device
        declaration = declarations.get(device)
        if row.kind != KIND_REPORT or declaration is None:
            continue
        held = readings.get(index)
        if held is None:
            unknown.add(device)
            continue
        channels, readings_public = declaration
        try:
            sets = wire.readings(held[1], len(channels))
        except Refused:
            codes[index] = sensing.BAD_READINGS
            continue
        memory = changed.get(device) or memories.get(device)
        codes[index], memory = sensing.measure(memory, row, channels, sets, units)
        if memory is not None:
            changed[device] = memory
        if readings_public:
            for one in sets:
                public.append((device, row.slot, row.boot, row.seq, one[0], cbor2.dumps(one[1:])))
    return Measured(codes, changed, unknown, public)


def sorted_refusals(rows: Iterable[Row]) -> list[Row]:
    """Refusal rows once each, in canonical order."""
    return sorted(set(rows))
