"""What a device says: one signed envelope of a claims map (RFC 8392, RFC 9711) and one private claim.

    {10: eat_nonce, 261: uptime_s, 267: bootcount, -65537: [kind, seq, prev, body]}

`eat_nonce` quotes the newest beacon, so no clock is needed. `seq` counts from 1 within a boot; `prev` is the first half
of the id of the statement before it (empty for the first): gaps, replays and copied keys become visible as such.

    enroll  [public key, token key, token signature, interval_s, readings_public (0 or 1), place, channels]
            channels = [[name, unit, exponent], ...]
    report  [profile, commitment] or [profile, commitment, notices]      commitment = SHA-256(salt || readings)
            notices = [[code, value], ...]: what the device says about itself, see `notices`

Readings stay outside the signature and travel beside the envelope, so that they can be private and be deleted:

    message [envelope]  or  [envelope, salt, readings]
    readings [[dt_ms, value, ...], ...]     one row a reading set, values scaled by 10^-exponent or MISSING
"""

import binascii
import hashlib

from . import cbor, cose
from .cbor import Map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KIND_ENROLL = 1
KIND_REPORT = 2

CLAIM_NONCE = 10
CLAIM_UPTIME = 261
CLAIM_BOOTCOUNT = 267
CLAIM_STATEMENT = -65537

NONCE_BYTES = 16
PREV_BYTES = 16
SALT_BYTES = 16
MESSAGE_BYTES_MAX = 1024
SETS_MAX = 64
U32_MAX = 0xFFFFFFFF
U64_MAX = 0xFFFFFFFFFFFFFFFF
I64_MAX = 0x7FFFFFFFFFFFFFFF
MISSING = -I64_MAX - 1  # in place of a value: its sensor gave none


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
