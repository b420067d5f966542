"""Hostile Ed25519 signatures and keys, the same in every run; libsodium says what each is worth."""

import hashlib
import random

from nacl import bindings
from nacl.exceptions import BadSignatureError

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7  # of a point of order eight
SIGN = 1 << 255

# Each of the eight small points, then every other way to write one: sign bits of x = 0, and y + p.
SMALL = [y | sign for y in (0, 1, P - 1, Y8, P - Y8) for sign in (0, SIGN)] + [
    y | s for y in (P, P + 1) for s in (0, SIGN)
]
NON_CANONICAL = [y | sign for y in range(P, 2**255) for sign in (0, SIGN)]
TORSION = [value.to_bytes(32, "little") for value in (0, SIGN, P - 1, Y8, Y8 | SIGN, P - Y8, P - Y8 | SIGN)]

Case = tuple[bytes, bytes, bytes]  # public key, message, signature


def encode(value: int) -> bytes:
    return value.to_bytes(32, "little")


def challenge(point: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L


def multiple(scalar: int) -> bytes:
    return bindings.crypto_scalarmult_ed25519_base_noclamp(encode(scalar))


def forge(public: bytes, secret: int, point: bytes, nonce: int, message: bytes) -> Case:
    """The signature that satisfies the equation, up to what was added to public key and point."""
    answer = (nonce + challenge(point, public, message) * secret) % L
    return public, message, point + encode(answer)


def flip(case: Case, chance: random.Random) -> Case:
    parts = [bytearray(part) for part in case]
    part = chance.choice([part for part in parts if part])
    part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
    return bytes(parts[0]), bytes(parts[1]), bytes(parts[2])


def cases() -> list[Case]:
    """Over 3,000, of which some hundreds are valid."""
    chance = random.Random(8032)
    made: list[Case] = []

    def scalar() -> int:
        return chance.randrange(1, L)

    def honest(length: int) -> tuple[Case, int, int]:
        secret, nonce = scalar(), scalar()
        return forge(multiple(secret), secret, multiple(nonce), nonce, chance.randbytes(length)), secret, nonce

    for length in range(260):
        case, secret, nonce = honest(length)
        public, message, signature = case
        point, answer = signature[:32], int.from_bytes(signature[32:], "little")
        made += [case, flip(case, chance), flip(case, chance)]
        for wrong in (
            answer + L,
            answer + chance.randrange(2, 15) * L,
            answer | chance.randrange(1, 16) << 252,
            L - answer,
        ):
            made.append((public, message, point + encode(wrong)))
        torsion = chance.choice(TORSION)
        mixed = bindings.crypto_core_ed25519_add(public, torsion)
        made.append(forge(mixed, secret, point, nonce, message))
        mixed_point = bindings.crypto_core_ed25519_add(point, torsion)
        made.append(forge(public, secret, mixed_point, nonce, message))
        made.append(forge(mixed, secret, mixed_point, nonce, message))
    for small in SMALL:
        for _ in range(12):
            nonce, message = scalar(), chance.randbytes(20)
            made.append(forge(encode(small), 0, multiple(nonce), nonce, message))
            secret = scalar()
            made.append(forge(multiple(secret), secret, encode(small), 0, message))
            made.append((encode(small), message, encode(chance.choice(SMALL)) + bytes(32)))
    for value in NON_CANONICAL:
        for _ in range(3):
            case, secret, nonce = honest(20)
            made.append((encode(value), case[1], case[2]))
            made.append(forge(case[0], secret, encode(value), nonce, case[1]))
    for _ in range(200):
        case, _, _ = honest(20)
        made.append((chance.randbytes(32), case[1], case[2]))
        made.append((case[0], case[1], chance.randbytes(32) + case[2][32:]))
    for answer in (0, 1, L - 1, L, L + 1, 2**252, 2**253 - 1, 2**255 - 1, 2**256 - 1):
        case, _, _ = honest(20)
        made.append((case[0], case[1], case[2][:32] + encode(answer)))
    for size in (0, 1, 31, 33, 63, 64, 65, 96, 128):
        case, _, _ = honest(20)
        padded = case[0] + case[2] + bytes(64)
        made += [(padded[:size], case[1], case[2]), (case[0], case[1], (case[2] + bytes(64))[:size])]
    return made


def expected(case: Case) -> bool:
    """libsodium's answer; a wrong length, at which PyNaCl raises, is a no."""
    public, message, signature = case
    if len(public) != 32 or len(signature) != 64:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True
