"""Owner messages from the hand that signs them: an account's or a new key's. The coordinator reads them elsewhere."""

import nacl.signing

from .core import cbor, cose

ACCOUNT_KEY = "account-key"
DEVICE_KEY = "device-key"


def countersigned(what: str, genesis: bytes, subject: bytes, public_key: bytes) -> bytes:
    """What a new key signs: it takes over the account or device `subject` (16 bytes) on this network."""
    return f"edgetally/1/{what}/{genesis.hex()}".encode() + subject + public_key


def signed_message(
    key: nacl.signing.SigningKey, account: bytes, genesis: bytes, kind: int, nonce: int, body: list[object]
) -> tuple[bytes, bytes]:
    """(envelope, id). `account` is that of the account's first key; `key` is the one that signs for it now, and is sent
    along only where it is the first: then nobody may know it yet."""
    public_key = bytes(key.verify_key)
    brought = [public_key] if cose.signer_id(public_key) == account else []
    payload = cbor.encode([kind, nonce, body, *brought])
    signed = cose.signed_bytes(account, cose.external_aad(cose.TYPE_OWNER, genesis), payload)
    return cose.wrap(account, payload, key.sign(signed).signature), cose.identity(signed)


def signed_login(
    key: nacl.signing.SigningKey, account: bytes, genesis: bytes, origin: str, challenge: bytes, expiry: int
) -> bytes:
    """An envelope that says: the holder of the account's key answers this challenge, on the page at this origin."""
    payload = cbor.encode([origin, challenge, expiry])
    signed = cose.signed_bytes(account, cose.external_aad(cose.TYPE_LOGIN, genesis), payload)
    return cose.wrap(account, payload, key.sign(signed).signature)


def account_key_body(new: nacl.signing.SigningKey, genesis: bytes, account: bytes) -> list[object]:
    """Body of a message that gives an account a new key, with the word of that key."""
    return [bytes(new.verify_key), _agreed(ACCOUNT_KEY, new, genesis, account)]


def rotate_body(new: nacl.signing.SigningKey, genesis: bytes, device: bytes) -> list[object]:
    """Body of a message that gives a device a new key, with the word of that key."""
    return [device, bytes(new.verify_key), _agreed(DEVICE_KEY, new, genesis, device)]


def _agreed(what: str, new: nacl.signing.SigningKey, genesis: bytes, subject: bytes) -> bytes:
    return new.sign(countersigned(what, genesis, subject, bytes(new.verify_key))).signature
