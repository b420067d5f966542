"""The short way through the decoder: the deterministic encoding gives a report one shape, found by one expression.

Nearly every message is a well-formed report without notices, and its bytes leave little open: constant heads, fields of
fixed size, three integers of at most 32 bits, one byte string at the end. A regular expression finds the fields in one
pass, where `wire` decodes and encodes four nested layers.

It only ever says yes, and only to what `wire.message_parts`, `envelope`, `claims` and `checked_body` accept, with the
values that they find. None means that the shape was not recognised, never that the message is bad: whoever gets it asks
`wire`, and `wire` refuses. No branch of the expression begins as another does, and nothing of open length repeats but
the last field: whatever the message, there is one way to read it and no way back.
"""

import hashlib
import re
from typing import NamedTuple

from device_client.core import cose
from device_client.core.cbor import head
from device_client.core.statement import KIND_REPORT, MESSAGE_BYTES_MAX

from .wire import Claims, Signed

# EXPRESSION

# An integer below 2^32 in its shortest form: behind a head there are no zeros that a shorter form would do without.
_U32 = rb"([\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....)"
_FROM_1 = rb"([\x01-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....)"
_PROTECTED = rb"(\x55\xa2\x01\x27\x04\x50(.{16}))"
_CLAIMS = (
    rb"(\xa4\x0a\x50(.{16})\x19\x01\x05" + _U32 + rb"\x19\x01\x0b" + _FROM_1 + rb"\x3a\x00\x01\x00\x00"
    rb"\x84\x02" + _FROM_1 + rb"(?:\x40|\x50(.{16}))\x82\x00\x58\x20(.{32}))"
)
_ENVELOPE = rb"(\xd2\x84" + _PROTECTED + rb"\xa0(\x58." + _CLAIMS + rb")\x58\x40(.{64}))"
_MESSAGE = rb"\x83\x58." + _ENVELOPE + rb"\x50(.{16})([\x40-\x57]|\x58.|\x59..)(.*)"

# DOTALL, because a dot without it leaves out 0x0a; fullmatch, because a $ forgives one at the end.
_envelope_match = re.compile(_ENVELOPE, re.DOTALL).fullmatch
_message_match = re.compile(_MESSAGE, re.DOTALL).fullmatch

_SIGNED_HEAD = b"\x84\x6aSignature1"
# What the bytes of an integer are worth beyond its value, by how many they are: their head.
_WORTH = (0, 0, 0x18 << 8, 0x19 << 16, 0, 0x1A << 32)
_READINGS_HEADS = tuple(head(2, length) for length in range(MESSAGE_BYTES_MAX + 1))


class Report(NamedTuple):
    """A report whose signature is not checked yet, nor whether its readings are those it commits to.

    Of an envelope alone, salt and readings are empty.
    """

    device: bytes
    boot: int
    seq: int
    prev: bytes
    nonce: bytes
    uptime_s: int
    commitment: bytes
    salt: bytes
    readings: bytes
    envelope: bytes
    payload: bytes
    signature: bytes
    signed: bytes
    id: bytes

    def keeps_commitment(self) -> bool:
        return hashlib.sha256(self.salt + self.readings).digest() == self.commitment

    def body(self) -> list[object]:
        """[profile, commitment], as wire.checked_body gives it."""
        return [0, self.commitment]

    def in_wire_terms(self) -> tuple[Signed, Claims]:
        """What wire.envelope and wire.claims make of the same envelope."""
        return (
            Signed(self.device, self.payload, self.signature, self.signed, self.id),
            Claims(self.nonce, self.uptime_s, self.boot, KIND_REPORT, self.seq, self.prev, self.body()),
        )


class ReportShape:
    """The shape of the reports of one network."""

    def __init__(self, genesis: bytes) -> None:
        aad = cose.external_aad(cose.TYPE_STATEMENT, genesis)
        self._aad = head(2, len(aad)) + aad

    def taken_apart(self, message: bytes) -> Report | None:
        """A whole `up` message [envelope, salt, readings], if it is a report; otherwise ask wire."""
        if len(message) > MESSAGE_BYTES_MAX:
            return None
        match = _message_match(message)
        if match is None:
            return None
        fields = match.groups(b"")
        readings = fields[14]
        if message[2] != len(fields[0]) or _READINGS_HEADS[len(readings)] != fields[13]:
            return None
        return self._report(fields, fields[12], readings)

    def envelope_taken_apart(self, envelope: bytes) -> Report | None:
        """An envelope alone, if it is a report's; otherwise ask wire."""
        match = _envelope_match(envelope)
        return None if match is None else self._report(match.groups(b""), b"", b"")

    def _report(self, fields: tuple[bytes, ...], salt: bytes, readings: bytes) -> Report | None:
        envelope, protected, device, payload_item, payload, nonce, uptime, boot, seq, prev, commitment, signature = (
            fields[:12]
        )
        # The first statement of a boot, and no other, has no predecessor.
        if payload_item[1] != len(payload) or (not prev) is not (seq == b"\x01"):
            return None
        signed = _SIGNED_HEAD + protected + self._aad + payload_item
        return Report(
            device,
            int.from_bytes(boot, "big") - _WORTH[len(boot)],
            int.from_bytes(seq, "big") - _WORTH[len(seq)],
            prev,
            nonce,
            int.from_bytes(uptime, "big") - _WORTH[len(uptime)],
            commitment,
            salt,
            readings,
            envelope,
            payload,
            signature,
            signed,
            hashlib.sha256(signed).digest(),
        )
