"""The coordinator's own decoder of the wire: cbor2 and PyNaCl, written apart from the devices' core and held to the
same vectors. What it lets through is exactly what the core would have encoded; everything else is `Refused`.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import cbor2
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from device_client.core import cose, light, received, statement, verdicts
from device_client.core.cbor import Malformed

DEPTH_MAX = 8
# Every tag that cbor2 would turn into an object (dates, big numbers, regular expressions, shared references ...).
_BUILT_IN_TAGS = (*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799)


class Refused(ValueError):
    """A message that a rule refuses; `code` is one of device_client.core.verdicts."""

    def __init__(self, code: int, detail: str = "") -> None:
        super().__init__(detail or verdicts.name(code))
        self.code = code


class Signed(NamedTuple):
    """An envelope whose signature is not checked yet. `signed` are the bytes under the signature, `id` their hash."""

    kid: bytes
    payload: bytes
    signature: bytes
    signed: bytes
    id: bytes


class Claims(NamedTuple):
    """A statement's claims, types and ranges checked, the body's too."""

    nonce: bytes
    uptime_s: int
    boot: int
    kind: int
    seq: int
    prev: bytes
    body: list[Any]


class OwnerMessage(NamedTuple):
    kind: int
    nonce: int
    body: list[Any]


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag")


_DECODERS: dict[int, Callable[..., object]] = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)
_ENVELOPE_DECODERS = {tag: decoder for tag, decoder in _DECODERS.items() if tag != 18}


def _loads(
    data: bytes, decoders: dict[int, Callable[..., object]], is_plain: Callable[[Any], bool] | None = None
) -> Any:
    """`is_plain` is the one below, unless the caller knows what there must be."""
    try:
        value = cbor2.loads(
            data,
            max_depth=DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=decoders,
        )
        same = (is_plain or _is_plain)(value) and cbor2.dumps(value) == data
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Refused(verdicts.MALFORMED, "not CBOR of the wire") from error
    if not same:
        raise Refused(verdicts.MALFORMED, "not the deterministic encoding")
    return value


def _is_plain(value: object) -> bool:
    """Whether all of it is of the wire's types, and the keys of every map ascend: much else re-encodes to itself."""
    kind = type(value)
    if kind is int or kind is bytes or kind is str:
        return True
    if kind is list or kind is tuple:
        return all(_is_plain(item) for item in value)  # type: ignore[attr-defined]
    if kind is dict or kind is cbor2.frozendict:
        keys = [cbor2.dumps(key) for key in value]  # type: ignore[attr-defined]
        items = (*value.keys(), *value.values())  # type: ignore[attr-defined]
        return keys == sorted(keys) and all(_is_plain(item) for item in items)
    return kind is cbor2.CBORTag and value.tag == 18 and _is_plain(value.value)  # type: ignore[attr-defined]


def decoded(data: bytes) -> Any:
    """One item of plain arrays, integers, byte strings and text."""
    return _loads(data, _DECODERS)


def envelope(data: bytes, envelope_type: str, genesis: bytes) -> Signed:
    """Take a COSE_Sign1 apart and rebuild the bytes that must be under its signature (RFC 9052 section 4.4)."""
    tag = _loads(data, _ENVELOPE_DECODERS)
    # Inside a tag cbor2 builds immutable values: tuple and frozendict.
    if type(tag) is not cbor2.CBORTag or tag.tag != 18 or type(tag.value) is not tuple or len(tag.value) != 4:
        raise Refused(verdicts.MALFORMED, "not a COSE_Sign1")
    protected, unprotected, payload, signature = tag.value
    if type(protected) is not bytes or type(unprotected) is not cbor2.frozendict or unprotected:
        raise Refused(verdicts.MALFORMED, "headers")
    if type(payload) is not bytes or type(signature) is not bytes or len(signature) != 64:
        raise Refused(verdicts.MALFORMED, "payload or signature")
    header = decoded(protected)
    if type(header) is not dict or list(header) != [1, 4] or header[1] != -8:
        raise Refused(verdicts.MALFORMED, "protected header")
    kid = header[4]
    if type(kid) is not bytes or len(kid) != 16:
        raise Refused(verdicts.MALFORMED, "kid")
    aad = f"edgetally/1/{envelope_type}/{genesis.hex()}".encode()
    signed = cbor2.dumps(["Signature1", protected, aad, payload])
    return Signed(kid, payload, signature, signed, hashlib.sha256(signed).digest())


def is_signed_by(signed: Signed, public_key: bytes) -> bool:
    return signature_holds(public_key, signed.signed, signed.signature)


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519 as libsodium checks it: strict about S, small order and non-canonical points."""
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


def is_valid_key(public_key: bytes) -> bool:
    """Canonical, on the curve, in the prime-order subgroup, not of small order."""
    return bool(crypto_core_ed25519_is_valid_point(public_key))


def message_parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """(envelope, salt, readings) of an `up` message; the last two empty where there are none."""
    if len(data) > statement.MESSAGE_BYTES_MAX:
        raise Refused(verdicts.OVERSIZED)
    parts = decoded(data)
    if type(parts) is not list or len(parts) not in (1, 3) or any(type(part) is not bytes for part in parts):
        raise Refused(verdicts.MALFORMED, "message")
    if len(parts) == 1:
        return parts[0], b"", b""
    if len(parts[1]) != statement.SALT_BYTES:
        raise Refused(verdicts.MALFORMED, "salt")
    return parts[0], parts[1], parts[2]


def claims(payload: bytes) -> Claims:
    """The claims of a statement. Raises Refused: MALFORMED for claims, UNSUPPORTED_KIND or BAD_BODY for what is inside.

    Only call it on a payload whose signature holds, or to find out whose signature should.
    """
    found = decoded(payload)
    if type(found) is not dict or tuple(found) != received.CLAIMS:
        raise Refused(verdicts.MALFORMED, "claims")
    nonce, uptime_s, boot, private = found.values()
    if type(private) is not list or len(private) != 4:
        raise Refused(verdicts.MALFORMED, "private claim")
    kind, seq, prev, body = private
    for value, smallest, largest in (
        (uptime_s, 0, statement.U32_MAX),
        (boot, 1, statement.U32_MAX),
        (kind, 0, 255),
        (seq, 1, statement.U32_MAX),
    ):
        if type(value) is not int or not smallest <= value <= largest:
            raise Refused(verdicts.MALFORMED, "claim out of range")
    if type(nonce) is not bytes or len(nonce) != statement.NONCE_BYTES:
        raise Refused(verdicts.MALFORMED, "eat_nonce")
    if type(prev) is not bytes or len(prev) != (0 if seq == 1 else statement.PREV_BYTES):
        raise Refused(verdicts.MALFORMED, "prev")
    if type(body) is not list:
        raise Refused(verdicts.MALFORMED, "body")
    return Claims(nonce, uptime_s, boot, kind, seq, prev, body)


def checked_body(found: Claims) -> list[Any]:
    """The body of a kind that this version knows. Raises Refused: UNSUPPORTED_KIND or BAD_BODY."""
    try:
        if found.kind == statement.KIND_ENROLL:
            return received.enroll(found.body)
        if found.kind == statement.KIND_REPORT:
            return received.report(found.body)
    except Malformed as error:
        raise Refused(verdicts.BAD_BODY, str(error)) from error
    raise Refused(verdicts.UNSUPPORTED_KIND)


def readings(data: bytes, channels: int) -> list[list[int]]:
    """Reading sets [dt_ms, one value or MISSING a channel]. Raises Refused MALFORMED."""
    sets = _loads(data, _DECODERS, _are_sets)
    if len(sets) > statement.SETS_MAX or any(len(row) != channels + 1 for row in sets):
        raise Refused(verdicts.MALFORMED, "reading set")
    return sets  # type: ignore[no-any-return]


def _are_sets(value: Any) -> bool:
    """Whether it is a list of lists of integers that a reading may be; so all of it is of the wire's types."""
    if type(value) is not list:
        return False
    for row in value:
        if type(row) is not list:
            return False
        for item in row:
            if type(item) is not int or not statement.MISSING <= item <= statement.I64_MAX:
                return False
        if row and row[0] == statement.MISSING:
            return False
    return True


def owner_message(payload: bytes) -> OwnerMessage:
    """[kind, nonce, body] of an owner message. Raises Refused MALFORMED."""
    return checked_owner_message(decoded(payload))


def checked_owner_message(found: Any) -> OwnerMessage:
    if type(found) is not list or len(found) != 3 or type(found[2]) is not list:
        raise Refused(verdicts.MALFORMED, "owner message")
    kind, nonce, body = found
    if type(kind) is not int or not 0 <= kind <= 255:
        raise Refused(verdicts.MALFORMED, "kind")
    if type(nonce) is not int or not 1 <= nonce <= statement.I64_MAX:
        raise Refused(verdicts.MALFORMED, "nonce")
    return OwnerMessage(kind, nonce, body)


def token_body(body: list[Any]) -> list[Any]:
    """[token key, owner public key, devices, last epoch] of a token grant. Raises Refused BAD_BODY or WEAK_KEY."""
    if len(body) != 4 or any(type(key) is not bytes or len(key) != 32 for key in body[:2]):
        raise Refused(verdicts.BAD_BODY, "token keys")
    if any(type(number) is not int for number in body[2:]):
        raise Refused(verdicts.BAD_BODY, "token count or epoch")
    if not 1 <= body[2] <= statement.U32_MAX or not 0 <= body[3] <= statement.I64_MAX:
        raise Refused(verdicts.BAD_BODY, "token count or epoch")
    if not all(is_valid_key(key) for key in body[:2]):
        raise Refused(verdicts.WEAK_KEY)
    return body


def enrolment_holds(kid: bytes, body: list[Any], genesis: bytes) -> None:
    """Check an enrolment's keys: a strong device key that the kid is the hash of, and the token's word for it."""
    public_key, token_key, token_signature = body[:3]
    if not is_valid_key(public_key):
        raise Refused(verdicts.WEAK_KEY)
    if cose.signer_id(public_key) != kid:
        raise Refused(verdicts.BAD_SIGNATURE, "kid")
    if not signature_holds(token_key, statement.token_message(genesis, public_key), token_signature):
        raise Refused(verdicts.BAD_TOKEN_SIGNATURE)


def opened(data: bytes, envelope_type: str, genesis: bytes, public_key: bytes) -> Signed:
    """An envelope that `public_key` signed. Raises Refused."""
    signed = envelope(data, envelope_type, genesis)
    if signed.kid != cose.signer_id(public_key) or not is_signed_by(signed, public_key):
        raise Refused(verdicts.BAD_SIGNATURE, envelope_type)
    return signed


def beacon(signed: Signed) -> light.Beacon:
    try:
        return light.parse_beacon(signed.payload)
    except Malformed as error:
        raise Refused(verdicts.MALFORMED, str(error)) from error
