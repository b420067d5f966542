"""What a device said, taken apart again: statements, their bodies, messages and readings, every type and range checked.

No device needs this: it belongs to vectors, tools and whoever else reads the wire without the coordinator's decoder.
"""

from . import cbor, notices
from .cbor import Malformed, Map, is_uint
from .statement import (
    CLAIM_BOOTCOUNT,
    CLAIM_NONCE,
    CLAIM_STATEMENT,
    CLAIM_UPTIME,
    I64_MAX,
    MISSING,
    NONCE_BYTES,
    PREV_BYTES,
    SALT_BYTES,
    SETS_MAX,
    U32_MAX,
    Statement,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLAIMS = (CLAIM_NONCE, CLAIM_UPTIME, CLAIM_BOOTCOUNT, CLAIM_STATEMENT)
COMMITMENT_BYTES = 32
CHANNELS_MAX = 16
NAME_CHARS_MAX = 24
NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_"
UNIT_CHARS_MAX = 8
UNIT_BYTES_MAX = 12  # so that an enrolment of sixteen channels fits a message
EXPONENT_MAX = 12


def statement(payload: bytes) -> Statement:
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


def message(data: bytes) -> "tuple[bytes, bytes, bytes]":
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


def readings(data: bytes, channels: int) -> "list[list[int]]":
    """Reading sets, each [dt_ms, one value or MISSING a channel]. Raises Malformed."""
    sets = cbor.decode(data)
    if not isinstance(sets, list) or len(sets) > SETS_MAX:
        raise Malformed("readings")
    for row in sets:
        if not isinstance(row, list) or len(row) != channels + 1:
            raise Malformed("reading set")
        for value in row:
            if type(value) is not int or not MISSING <= value <= I64_MAX:
                raise Malformed("reading")
        if row[0] == MISSING:
            raise Malformed("reading without a time")
    return sets


def enroll(body: "list[object]") -> "list[object]":
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


def report(body: "list[object]") -> "list[object]":
    """[profile, commitment] or [profile, commitment, [[code, value], ...]]; profile 0 is the declaration made at
    enrolment, the only one so far. Raises Malformed."""
    if not 2 <= len(body) <= 3 or not is_uint(body[0], 0):
        raise Malformed("report body")
    if not isinstance(body[1], bytes) or len(body[1]) != COMMITMENT_BYTES:
        raise Malformed("commitment")
    if len(body) == 3:
        _check_notices(body[2])
    return body


def _check_notices(pairs: object) -> None:
    """One form for one thing: at least one pair, and each code once, in ascending order."""
    if not isinstance(pairs, list) or not 1 <= len(pairs) <= notices.PAIRS_MAX:
        raise Malformed("notices")
    before = -1
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Malformed("notice")
        code, value = pair
        if not is_uint(code, notices.CODE_MAX) or not is_uint(value, U32_MAX) or code <= before:
            raise Malformed("notice")
        before = code
