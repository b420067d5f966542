"""Owner messages on the wire: the body of each kind, countersignatures, and whose key must have signed.

    [kind, nonce, body]  or  [kind, nonce, body, public key]

An account is the first 16 bytes of SHA-256 of its first public key. So a message may bring the key of an account that
nobody knows yet, and proves by itself that it is the right one.
"""

from collections.abc import Container
from typing import Any, NamedTuple

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel import reasons
from coordinator.kernel.module import OwnerRow
from coordinator.kernel.parameters import PARAMETER_NAME_CHARS_MAX, UNITS_MAX
from coordinator.kernel.tables import TableState
from device_client.core import cose, statement, verdicts
from device_client.owner_signing import ACCOUNT_KEY, DEVICE_KEY, countersigned

from . import wire
from .wire import Refused

OWNER_BYTES_MAX = 2048


class Keys(NamedTuple):
    """Whose signatures count: the operator's key in force, and the accounts before the batch (table of `accounts`)."""

    operator: bytes
    accounts: TableState

    def of(self, account: bytes) -> bytes | None:
        if account == cose.signer_id(self.operator):
            return self.operator
        row = self.accounts.get("accounts", {}).get((account,))
        return row[0] if row else None  # type: ignore[return-value]

    def nonce_of(self, account: bytes) -> int:
        """The highest nonce that is executed, 0 before the first."""
        row = self.accounts.get("accounts", {}).get((account,))
        return int(row[1]) if row else 0


def owner_row(envelope: bytes, genesis: bytes, keys: Keys) -> OwnerRow:
    """Everything that can be said of one owner message without executing it. Raises Refused."""
    if len(envelope) > OWNER_BYTES_MAX:
        raise Refused(verdicts.OVERSIZED)
    signed = wire.envelope(envelope, cose.TYPE_OWNER, genesis)
    message, brought = message_of(signed.payload)
    public_key = keys.of(signed.kid)
    if public_key is None:
        if not brought:
            raise Refused(verdicts.UNKNOWN_ACCOUNT)
        if cose.signer_id(brought) != signed.kid:
            raise Refused(verdicts.BAD_SIGNATURE, "kid")
        if not wire.is_valid_key(brought):
            raise Refused(verdicts.WEAK_KEY)
        public_key = brought
    if not wire.is_signed_by(signed, public_key):
        raise Refused(verdicts.BAD_SIGNATURE)
    body = _checked(message, signed.kid, genesis)
    is_operator = public_key == keys.operator
    return OwnerRow(signed.kid, message.nonce, message.kind, body, signed.id, public_key, is_operator)


def message_of(payload: bytes) -> tuple[wire.OwnerMessage, bytes]:
    """The message, and the key that it brings (empty for none). Raises Refused MALFORMED."""
    found = wire.decoded(payload)
    brought = b""
    if type(found) is list and len(found) == 4:
        brought = found.pop()
        if type(brought) is not bytes or len(brought) != 32:
            raise Refused(verdicts.MALFORMED, "public key")
    return wire.checked_owner_message(found), brought


def _checked(message: wire.OwnerMessage, account: bytes, genesis: bytes) -> list[Any]:
    """The body, of its kind's types and ranges, its keys proper and its countersignature right. Raises Refused."""
    kind, body = message.kind, message.body
    if kind == kinds.TOKEN:
        return wire.token_body(body)
    if kind == kinds.PARAMETER:
        return _parameter_body(body)
    if kind not in _SHAPES:
        raise Refused(verdicts.UNSUPPORTED_KIND)
    shape = _SHAPES[kind]
    if len(body) != len(shape) or not all(_fits(value, wanted) for value, wanted in zip(body, shape, strict=True)):
        raise Refused(verdicts.BAD_BODY, kinds.KINDS[kind])
    if kind == kinds.KEY:
        _agrees(ACCOUNT_KEY, genesis, account, *body)
    elif kind == kinds.ROTATE:
        _agrees(DEVICE_KEY, genesis, *body)
    elif kind == kinds.REPLACE and body[0] == body[1]:
        raise Refused(verdicts.BAD_BODY, "a device does not replace itself")
    return body


_AMOUNT, _EPOCH = range(1, statement.I64_MAX + 1), range(statement.I64_MAX + 1)

# By kind: a number stands for a byte string of that length, a container for one of its integers.
_SHAPES: dict[int, tuple[int | Container[int], ...]] = {
    kinds.KEY: (32, 64),
    kinds.TRANSFER: (16, _AMOUNT),
    kinds.DEVICE_TRANSFER: (16, 16),
    kinds.ROTATE: (16, 32, 64),
    kinds.REVOKE: (16,),
    kinds.REPLACE: (16, 16),
    kinds.QUARANTINE: (16, reasons.sayable(reasons.QUARANTINE), 32, _EPOCH),
    kinds.LIFT: (16, reasons.sayable(reasons.LIFT), 32),
    kinds.APPEAL: (16, 32),
    kinds.CORRECT: (16, 16, _EPOCH, _AMOUNT, reasons.sayable(reasons.CORRECTION)),
    kinds.SETTLE: (16, _AMOUNT, 32),
    kinds.READINGS: (16, range(2)),
}


def _fits(value: object, wanted: int | Container[int]) -> bool:
    if isinstance(wanted, int):
        return type(value) is bytes and len(value) == wanted
    return type(value) is int and value in wanted


def _agrees(what: str, genesis: bytes, subject: bytes, public_key: bytes, countersignature: bytes) -> None:
    if not wire.is_valid_key(public_key):
        raise Refused(verdicts.WEAK_KEY)
    if not wire.signature_holds(public_key, countersigned(what, genesis, subject, public_key), countersignature):
        raise Refused(verdicts.BAD_COUNTERSIGNATURE)


def _parameter_body(body: list[Any]) -> list[Any]:
    """[name, value], the value an integer or rows of units. Whether the parameter can have it is for the rules."""
    if len(body) != 2 or type(body[0]) is not str or not 1 <= len(body[0]) <= PARAMETER_NAME_CHARS_MAX:
        raise Refused(verdicts.BAD_BODY, "parameter")
    value = body[1]
    if type(value) is list:
        if len(value) > UNITS_MAX or any(type(row) is not list or len(row) != 5 for row in value):
            raise Refused(verdicts.BAD_BODY, "units")
    elif type(value) is not int or not -statement.I64_MAX <= value <= statement.I64_MAX:
        raise Refused(verdicts.BAD_BODY, "parameter")
    return body
