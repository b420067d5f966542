"""What a batch is made of, as rows: statements with their slots, and owner messages.

Order is canonical, by (device, boot, seq, id), never by arrival. The same functions read a folder for an auditor and
the intake for the sealer.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from coordinator.kernel.module import OwnerRow
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.modules import sensing
from device_client.core import cose
from device_client.core.statement import KIND_REPORT

from . import wire
from .beacons import BeaconChain
from .content import Content
from .owner_wire import Keys, owner_row
from .packing import BadInput
from .report_shape import ReportShape
from .wire import Refused

_IN_ORDER = attrgetter("device", "boot", "seq", "id", "slot")


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
