"""owner.bin is wrong: which owner message, and which part of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.tables import Row, TableState
from device_client.core import cose
from device_client.core.statement import KIND_ENROLL

from . import wire
from .archive import Archive
from .diagnose_rows import TABLES
from .diagnose_signed import envelope_fault
from .owner_wire import message_of
from .packing import BadInput, unpack_owner_messages, unpack_statements
from .repair import Fault, near
from .wire import Refused

BODIES: dict[int, tuple[str, ...]] = {
    kinds.TOKEN: ("token_key", "owner", "devices", "last_epoch"),
    kinds.KEY: ("public_key", "countersignature"),
    kinds.TRANSFER: ("to", "amount"),
    kinds.DEVICE_TRANSFER: ("device", "to"),
    kinds.ROTATE: ("device", "public_key", "countersignature"),
    kinds.REVOKE: ("device",),
    kinds.REPLACE: ("device", "by"),
    kinds.PARAMETER: ("name", "value"),
    kinds.QUARANTINE: ("device", "reason", "evidence", "last_epoch"),
    kinds.LIFT: ("device", "reason", "evidence"),
    kinds.APPEAL: ("device", "text"),
    kinds.CORRECT: ("account", "device", "epoch", "amount", "reason"),
    kinds.SETTLE: ("account", "amount", "reference"),
    kinds.READINGS: ("device", "public"),
}
# Files whose rows name what messages were about.
EFFECTS = ("quarantines.rows", "lifts.rows", "appeals.rows", "corrections.rows", "settlements.rows")
AHEAD_MAX = 64  # batches in which what a message started is looked for


def fault(
    data: bytes,
    changed: bool,
    genesis: bytes,
    keys: Sequence[bytes],
    accounts: TableState,
    verdicts: list[Row] | None,
    ahead: "Ahead",
    effects: Sequence[Row] = (),
) -> Fault | None:
    """None where nothing speaks against the file. `verdicts` are the rows of owner_verdicts.rows where they stand, and
    `effects` those of the files that name what messages were about."""
    try:
        messages = unpack_owner_messages(data)
    except BadInput as error:
        return Fault("length", str(error))
    held = [row[0] for row in accounts.get("accounts", {}).values()]
    known = [*keys, *(key for key in held if isinstance(key, bytes)), *_brought(messages)]
    named = sorted({value for row in effects for value in row if isinstance(value, bytes)})
    places = []
    for index, message in enumerate(messages):
        nonces: Iterable[Any] = [row[1] for row in verdicts or []]
        found = _message(message, genesis, known, [*nonces, *range(1000)], ahead, named)
        if found:
            return Fault(found.field, f"owner message {index}: {found.what}")
        signed = wire.envelope(message, cose.TYPE_OWNER, genesis)
        places.append((signed.kid, message_of(signed.payload)[0].nonce, signed.id))
    if len(set(places)) < len(places):
        return Fault("row", "an owner message stands in it twice")
    if places != sorted(places):
        return Fault("order", "the owner messages are not in their order")
    if verdicts is not None and changed and len(verdicts) != len(messages):
        return Fault("row", f"here are {len(messages)} owner messages, {len(verdicts)} have verdicts")
    return None


def _brought(messages: Iterable[bytes]) -> list[bytes]:
    """Keys that messages bring of the accounts that they are of."""
    found = []
    for message in messages:
        try:
            envelope = cose.unwrap(message)
            _, brought = message_of(envelope.payload)
        except ValueError:
            continue
        if brought and cose.signer_id(brought) == envelope.kid:
            found.append(brought)
    return found


class Ahead:
    """Token keys and owners that later batches show: what a token grant was about."""

    def __init__(self, archive: Archive, genesis: bytes, number: int) -> None:
        self.token_keys: set[bytes] = set()
        self.owners: set[bytes] = set()
        for later in [one for one in archive.batches() if one >= number][:AHEAD_MAX]:
            try:
                entries = unpack_statements(archive.read(f"batches/{later}/statements.bin") or b"")
            except BadInput:
                continue
            for _, envelope in entries:
                self._take(envelope, genesis)
            rows = archive.read(f"batches/{later}/payouts.rows") or b""
            table = TABLES["payouts.rows"]
            if len(rows) % table.row_struct.size == 0:
                self.owners.update(row[2] for row in table.unpack(rows) if isinstance(row[2], bytes))

    def _take(self, envelope: bytes, genesis: bytes) -> None:
        try:
            claims = wire.claims(wire.envelope(envelope, cose.TYPE_STATEMENT, genesis).payload)
            if claims.kind == KIND_ENROLL:
                self.token_keys.add(wire.checked_body(claims)[1])
        except Refused:
            return


def _message(
    message: bytes,
    genesis: bytes,
    keys: Sequence[bytes],
    nonces: Iterable[Any],
    ahead: Ahead,
    named: Sequence[bytes],
) -> Fault | None:
    fields: dict[str, tuple[tuple[int, ...], Iterable[Any]]] = {"kind": ((0,), range(256)), "nonce": ((1,), nonces)}
    names: tuple[str, ...] = ()
    try:
        kind, _, body, *_ = wire.decoded(cose.unwrap(message).payload)
        names = BODIES.get(kind, tuple(f"body[{at}]" for at in range(len(body))))
        for at, (name, value) in enumerate(zip(names, body, strict=False)):
            others: Iterable[Any] = (
                [*sorted(ahead.token_keys), *keys, *named] if type(value) is bytes else near(value, 3000)
            )
            fields[name] = ((2, at), others)
    except (ValueError, TypeError):
        pass

    def unsure(payload: Any) -> str:
        if names == BODIES[kinds.TOKEN] and payload[2][0] not in ahead.token_keys:
            return "token_key"
        if names == BODIES[kinds.TOKEN] and cose.signer_id(payload[2][1]) not in ahead.owners:
            return "owner"
        return ""

    kids = [cose.signer_id(key) for key in keys]
    return envelope_fault(message, cose.TYPE_OWNER, genesis, keys, kids, fields, unsure)
