"""What the generators of vectors share: keys from fixed seeds, envelopes with one thing wrong, values as JSON.

JSON knows no byte strings and no maps with integer keys: {"hex": "..."} is a byte string, {"map": [[key, value], ...]}
a map in the order of its bytes. Integers reach 64 bits: read them with a parser that keeps them exact.
"""

import hashlib
from typing import Any

from nacl.signing import SigningKey

from device_client.core import cbor, cose
from device_client.core.cbor import Map

ORDER = 2**252 + 27742317777372353535851937790883648493


def seed(name: str) -> bytes:
    """A secret that everybody knows."""
    return hashlib.sha256(b"edgetally test vectors, " + name.encode()).digest()


def key(name: str) -> SigningKey:
    return SigningKey(seed(name))


def public(name: str) -> bytes:
    return bytes(key(name).verify_key)


def sign(name: str, message: bytes) -> bytes:
    return key(name).sign(message).signature


NETWORK = "vectors"
GENESIS = hashlib.sha256(cbor.encode([NETWORK, public("root"), [], seed("genesis")[:16]])).digest()
OTHER_GENESIS = hashlib.sha256(b"another network").digest()


def envelope(signer: str, envelope_type: str, payload: bytes, genesis: bytes = GENESIS) -> bytes:
    kid = cose.signer_id(public(signer))
    signed = cose.signed_bytes(kid, cose.external_aad(envelope_type, genesis), payload)
    return cose.wrap(kid, payload, sign(signer, signed))


def odd_envelope(
    signer: str,
    envelope_type: str,
    payload: bytes,
    protected: bytes | None = None,
    unprotected: bytes = b"\xa0",
    start: bytes = b"\xd2\x84",
    end: bytes = b"",
    raw_payload: bytes | None = None,
) -> bytes:
    """An envelope that is signed well over whatever it says, and is wrong in the parts that are given."""
    kid = cose.signer_id(public(signer))
    if protected is None:
        protected = cbor.encode(Map([(1, -8), (4, kid)]))
    aad = cose.external_aad(envelope_type, GENESIS)
    signature = sign(signer, cbor.encode(["Signature1", protected, aad, payload]))
    body = cbor.encode(payload) if raw_payload is None else raw_payload
    return b"".join((start, cbor.encode(protected), unprotected, body, cbor.encode(signature), end))


def malleated(data: bytes) -> bytes:
    """The same envelope with S + L for S: a second valid signature, for those who do not check its range."""
    s = int.from_bytes(data[-32:], "little") + ORDER
    return data[:-32] + s.to_bytes(32, "little")


def as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, Map):
        return {"map": [[as_json(key), as_json(item)] for key, item in value.pairs]}
    return value


def invalid(name: str, data: bytes, why: str) -> dict[str, str]:
    return {"name": name, "hex": data.hex(), "why": why}
