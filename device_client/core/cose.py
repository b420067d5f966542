"""The signed envelope: COSE_Sign1 (RFC 9052 section 4.2), Ed25519, tag 18.

    18([ protected: bstr .cbor {1: -8, 4: kid}, unprotected: {}, payload: bstr, signature: bstr ])

`kid` names the signer, not the key: the first 16 bytes of SHA-256 of the signer's first public key. It stays when the
key is rotated. The external_aad `edgetally/1/<type>/<genesis in hex>` is signed and never sent, so nothing can be
replayed as another type or on another network.
"""

import binascii
import hashlib

from .cbor import Malformed, decode_item, head

TYPE_STATEMENT = "statement"
TYPE_OWNER = "owner"
TYPE_BEACON = "beacon"
TYPE_RECEIPTS = "receipts"
TYPE_HEADER = "header"
TYPE_PROOF = "proof"
TYPE_MANIFEST = "manifest"
TYPE_LOGIN = "login"

KID_BYTES = 16
SIGNATURE_BYTES = 64
TAG_SIGN1 = b"\xd2"
UNPROTECTED_EMPTY = b"\xa0"
_PROTECTED_HEAD = b"\xa2\x01\x27\x04\x50"  # {1: -8 (EdDSA), 4: bstr of 16}
_PROTECTED_BYTES = len(_PROTECTED_HEAD) + KID_BYTES


class Envelope:
    """One COSE_Sign1 as received: kid (16 bytes), payload, signature (64 bytes)."""

    def __init__(self, kid: bytes, payload: bytes, signature: bytes) -> None:
        self.kid = kid
        self.payload = payload
        self.signature = signature


def signer_id(public_key: bytes) -> bytes:
    """Id of a device, account or coordinator: the first 16 bytes of SHA-256(first public key)."""
    return hashlib.sha256(public_key).digest()[:KID_BYTES]


def external_aad(envelope_type: str, genesis: bytes) -> bytes:
    return b"edgetally/1/" + envelope_type.encode() + b"/" + binascii.hexlify(genesis)


def signed_bytes(kid: bytes, aad: bytes, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052 section 4.4): the exact bytes under the signature."""
    return b"".join(
        (
            b"\x84\x6aSignature1",
            head(2, _PROTECTED_BYTES),
            _PROTECTED_HEAD,
            kid,
            head(2, len(aad)),
            aad,
            head(2, len(payload)),
            payload,
        )
    )


def identity(signed: bytes) -> bytes:
    """Id of what was signed (32 bytes). The signature is not part of it: nobody can give a statement a second id."""
    return hashlib.sha256(signed).digest()


def wrap(kid: bytes, payload: bytes, signature: bytes) -> bytes:
    return b"".join(
        (
            TAG_SIGN1,
            b"\x84",
            head(2, _PROTECTED_BYTES),
            _PROTECTED_HEAD,
            kid,
            UNPROTECTED_EMPTY,
            head(2, len(payload)),
            payload,
            head(2, SIGNATURE_BYTES),
            signature,
        )
    )


def unwrap(data: bytes) -> Envelope:
    """Take an envelope apart without checking its signature. Raises Malformed."""
    if bytes(data[:2]) != TAG_SIGN1 + b"\x84":
        raise Malformed("not a COSE_Sign1")
    protected, at = decode_item(data, 2, 1)
    if (
        not isinstance(protected, bytes)
        or len(protected) != _PROTECTED_BYTES
        or protected[: len(_PROTECTED_HEAD)] != _PROTECTED_HEAD
    ):
        raise Malformed("protected header")
    if bytes(data[at : at + 1]) != UNPROTECTED_EMPTY:
        raise Malformed("unprotected header")
    payload, at = decode_item(data, at + 1, 1)
    signature, at = decode_item(data, at, 1)
    if not isinstance(payload, bytes) or not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
        raise Malformed("payload or signature")
    if at != len(data):
        raise Malformed("trailing bytes")
    return Envelope(protected[len(_PROTECTED_HEAD) :], payload, signature)
