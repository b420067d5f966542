"""HMAC-SHA-256 (RFC 2104), which MicroPython lacks, and the one secret derived with it."""

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
