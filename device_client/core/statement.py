"""What a device says: one signed envelope of a claims map (RFC 8392, RFC 9711) and one private claim.

    {10: eat_nonce, 261: uptime_s, 267: bootcount, -65537: [kind, seq, prev, body]}

`eat_nonce` quotes the newest beacon, so no clock is needed. `seq` counts from 1 within a boot; `prev` is the first half
of the id of the statement before it (empty for the first): gaps, replays and copied keys become visible as such.

    enroll  [public key, token key, token signature, interval_s, readings_public (0 or 1), place, channels]
            channels = [[name, unit, exponent], ...]
    report  [profile, commitment]      commitment = SHA-256(salt || readings)

Readings stay outside the signature and travel beside the envelope, so that they can be private and be deleted:

    message [envelope]  or  [envelope, salt, readings]
    readings [[dt_ms, value, ...], ...]     one row a reading set, values scaled by 10^-exponent of their channel
"""

import binascii
import hashlib

from . import cbor, cose
from .cbor import Malformed, Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KIND_ENROLL = 1
KIND_REPORT = 2

CLAIM_NONCE = 10
CLAIM_UPTIME = 261
CLAIM_BOOTCOUNT = 267
CLAIM_STATEMENT = -65537
CLAIMS = (CLAIM_NONCE, CLAIM_UPTIME, CLAIM_BOOTCOUNT, CLAIM_STATEMENT)

NONCE_BYTES = 16
PREV_BYTES = 16
SALT_BYTES = 16
COMMITMENT_BYTES = 32
MESSAGE_BYTES_MAX = 1024
CHANNELS_MAX = 16
SETS_MAX = 64
U32_MAX = 0xFFFFFFFF
U64_MAX = 0xFFFFFFFFFFFFFFFF
I64_MAX = 0x7FFFFFFFFFFFFFFF
NAME_CHARS_MAX = 24
NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_"
UNIT_CHARS_MAX = 8
UNIT_BYTES_MAX = 12  # so that an enrolment of sixteen channels fits a message
EXPONENT_MAX = 12


class Statement:
    """The claims of one statement. `uptime_s`, `boot` and `seq` are below 2^32; `body` depends on `kind`."""

    def __init__(
        self, nonce: bytes, uptime_s: int, boot: int, kind: int, seq: int, prev: bytes, body: "list[object]"
    ) -> None:
        self.nonce = nonce
        self.uptime_s = uptime_s
        self.boot = boot
        self.kind = kind
        self.seq = seq
        self.prev = prev
        self.body = body

    def payload(self) -> bytes:
        claims: "list[tuple[object, object]]" = [
            (CLAIM_NONCE, self.nonce),
            (CLAIM_UPTIME, self.uptime_s),
            (CLAIM_BOOTCOUNT, self.boot),
            (CLAIM_STATEMENT, [self.kind, self.seq, self.prev, self.body]),
        ]
        return cbor.encode(Map(claims))


def parse(payload: bytes) -> Statement:
    """Claims from an envelope's payload, every type and range checked but the body's. Raises Malformed."""
    claims: "Any" = cbor.decode(payload)
    if not isinstance(claims, Map) or tuple([key for key, _ in claims.pairs]) != CLAIMS:
        raise Malformed("claims")
    values: "list[Any]" = [value for _, value in claims.pairs]
    nonce, uptime_s, boot, private = values
    if not isinstance(private, list) or len(private) != 4:
        raise Malformed("private claim")
    kind, seq, prev, body = private
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise Malformed("eat_nonce")
    if not is_uint(uptime_s, U32_MAX) or not is_uint(boot, U32_MAX) or not is_uint(kind, 255):
        raise Malformed("uptime, bootcount or kind")
    if not is_uint(seq, U32_MAX) or seq == 0 or boot == 0:
        raise Malformed("seq and bootcount count from 1")
    if not isinstance(prev, bytes) or len(prev) != (0 if seq == 1 else PREV_BYTES):
        raise Malformed("prev")
    if not isinstance(body, list):
        raise Malformed("body")
    return Statement(nonce, uptime_s, boot, kind, seq, prev, body)


def is_uint(value: "Any", maximum: int) -> bool:
    return type(value) is int and 0 <= value <= maximum


def sealed(statement: Statement, kid: bytes, genesis: bytes, sign: "Callable[[bytes], bytes]") -> "tuple[bytes, bytes]":
    """(envelope, statement id): the statement signed with `sign(message) -> signature`."""
    payload = statement.payload()
    signed = cose.signed_bytes(kid, cose.external_aad(cose.TYPE_STATEMENT, genesis), payload)
    return cose.wrap(kid, payload, sign(signed)), cose.identity(signed)


def token_message(genesis: bytes, device_public: bytes) -> bytes:
    """What the token key signs: this device key may enrol on this network."""
    return b"edgetally/1/token/" + binascii.hexlify(genesis) + device_public


def commitment(salt: bytes, readings: bytes) -> bytes:
    return hashlib.sha256(salt + readings).digest()


def message(envelope: bytes, salt: bytes = b"", readings: bytes = b"") -> bytes:
    """The bytes published to `up`: the envelope, and for a report the salt and readings beside it."""
    return cbor.encode([envelope, salt, readings] if salt else [envelope])


def split_message(data: bytes) -> "tuple[bytes, bytes, bytes]":
    """(envelope, salt, readings) of a message; salt and readings are empty where it has none. Raises Malformed."""
    parts = cbor.decode(data)
    if not isinstance(parts, list) or len(parts) not in (1, 3):
        raise Malformed("message")
    for part in parts:
        if not isinstance(part, bytes):
            raise Malformed("message")
    if len(parts) == 1:
        return parts[0], b"", b""
    if len(parts[1]) != SALT_BYTES:
        raise Malformed("salt")
    return parts[0], parts[1], parts[2]


def parse_readings(readings: bytes, channels: int) -> "list[list[int]]":
    """Reading sets, each [dt_ms, one value a channel]. Raises Malformed."""
    sets = cbor.decode(readings)
    if not isinstance(sets, list) or len(sets) > SETS_MAX:
        raise Malformed("readings")
    for row in sets:
        if not isinstance(row, list) or len(row) != channels + 1:
            raise Malformed("reading set")
        for value in row:
            if type(value) is not int or not -I64_MAX <= value <= I64_MAX:
                raise Malformed("reading")
    return sets


def parse_enroll(body: "list[object]") -> "list[object]":
    """The body of an enrolment, every type and range checked. Raises Malformed."""
    if len(body) != 7:
        raise Malformed("enroll body")
    public, token_key, token_signature, interval_s, readings_public, place, channels = body
    for field, size in ((public, 32), (token_key, 32), (token_signature, 64)):
        if not isinstance(field, bytes) or len(field) != size:
            raise Malformed("enroll key or signature")
    if not is_uint(interval_s, U32_MAX) or interval_s == 0:
        raise Malformed("interval_s")
    if not is_uint(readings_public, 1) or not is_uint(place, I64_MAX):
        raise Malformed("readings_public or place")
    if not isinstance(channels, list) or len(channels) > CHANNELS_MAX:
        raise Malformed("channels")
    for channel in channels:
        _check_channel(channel)
    return body


def _check_channel(channel: object) -> None:
    if not isinstance(channel, list) or len(channel) != 3:
        raise Malformed("channel")
    name, unit, exponent = channel
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_CHARS_MAX:
        raise Malformed("channel name")
    for character in name:
        if character not in NAME_CHARS:
            raise Malformed("channel name")
    if not isinstance(unit, str) or len(unit) > UNIT_CHARS_MAX or len(unit.encode()) > UNIT_BYTES_MAX:
        raise Malformed("channel unit")
    if type(exponent) is not int or not -EXPONENT_MAX <= exponent <= EXPONENT_MAX:
        raise Malformed("channel exponent")


def parse_report(body: "list[object]") -> "list[object]":
    """[profile, commitment]; profile 0 is the declaration made at enrolment, the only one so far. Raises Malformed."""
    if len(body) != 2 or not is_uint(body[0], 0):
        raise Malformed("report body")
    if not isinstance(body[1], bytes) or len(body[1]) != COMMITMENT_BYTES:
        raise Malformed("commitment")
    return body
