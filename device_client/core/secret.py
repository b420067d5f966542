"""HMAC-SHA-256 (RFC 2104), which MicroPython lacks, and the secrets derived with it."""

import binascii
import hashlib


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes([byte ^ 0x36 for byte in key]))
    inner.update(message)
    outer = hashlib.sha256(bytes([byte ^ 0x5C for byte in key]))
    outer.update(inner.digest())
    return outer.digest()


def broker_password(token_seed: bytes, device_id: bytes) -> str:
    """What a device shows the broker (hex). The broker can compute it from the token before the device enrols."""
    return binascii.hexlify(hmac_sha256(token_seed, device_id)).decode()


def token_login(token_seed: bytes, token_key: bytes, device_id: bytes) -> "tuple[str, str]":
    """(username = client id, password) for the first contact with a broker that knows nobody but tokens. A token has 16
    such names, because a second connection of one name ends the first; a device takes that of its id's last digit."""
    digest = binascii.hexlify(hashlib.sha256(token_key).digest()[:16]).decode()
    username = digest + "-" + binascii.hexlify(device_id).decode()[-1]
    return username, binascii.hexlify(hmac_sha256(token_seed, username.encode())).decode()
