"""Runs on MicroPython: reads `operation,hex,hex,...` lines, prints one answer a line."""

import sys
from binascii import hexlify, unhexlify

import ed25519
import sha512


def hash_in_parts(message, size):
    size = size[0]
    return sha512.sha512(*(message[start : start + size] for start in range(0, len(message), size)))


OPERATIONS = {
    "public_key": ed25519.public_key,
    "sign": ed25519.sign,
    "verify": ed25519.verify,
    "valid_point": ed25519.valid_point,
    "on_curve": lambda public: ed25519.combine(public, bytes(32), bytes(33)) is not None,
    "sha512": sha512.sha512,
    "hash_in_parts": hash_in_parts,
    "viper": lambda: "_ed25519_viper" in sys.modules and "_sha512_viper" in sys.modules,
}

for line in sys.stdin:
    operation, *arguments = line.strip().split(",")
    answer = OPERATIONS[operation](*map(unhexlify, arguments))
    print(answer if isinstance(answer, bool) else hexlify(answer).decode())
