"""Ed25519 signatures (RFC 8032) for boards: deterministic signing, and verification as strict as libsodium's.

Where MicroPython has the viper emitter, point multiplication runs in `_ed25519_viper`; elsewhere, CPython included, in
`_ed25519_bigint`, with the same answers.

Strict means that `verify` refuses, besides a wrong signature: S >= L, a public key whose y is not reduced, and a public
key or an R of small order. It is libsodium's `crypto_sign_verify_detached`, answer for answer. A key of mixed order
passes it there and here; `valid_point` refuses such keys too, once, at enrolment.

Side channels, honestly. In the viper code no branch and no address inside a field operation depends on a secret, and
the comb's entries are chosen by mask; whether an entry is added or subtracted picks one of two programs that do the
same operations in another order. S = r + k a modulo L and the reduction of the nonce run on the interpreter's big
integers, whose time varies a little with the values; the big-integer fallback varies throughout. Nothing here resists
power analysis, glitching or a reader of the flash: who holds the board can have its key. The expanded key of the last
seed stays in RAM, so that a signature does not compute the public key again. Not for several threads at once.
"""

# The largest to compile comes first, while the heap is empty.
try:
    from _ed25519_viper import combine, multiply_base
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no viper emitter, or a .mpy of another architecture
    from _ed25519_bigint import combine, multiply_base
from sha512 import sha512
from _ed25519_tables import SMALL_ORDER

_ORDER = 2**252 + 27742317777372353535851937790883648493  # L, the order of the base point
_FIELD = 2**255 - 19
_BYTES = (bytes, bytearray, memoryview)

_last_key = (b"", 0, b"", b"")  # seed, secret scalar, nonce prefix, public key


def public_key(seed):
    """The 32-byte public key of a 32-byte secret seed. ValueError if the seed has another length."""
    return _expand(seed)[3]


def sign(seed, message):
    """The 64-byte signature of `message` (bytes) under a 32-byte secret seed (RFC 8032, 5.1.6). ValueError as above."""
    _, secret, prefix, public = _expand(seed)
    nonce = _hash(prefix, message) % _ORDER
    point = multiply_base(_signed_bits(nonce))
    answer = (nonce + _hash(point, public, message) * secret) % _ORDER
    return point + answer.to_bytes(32, "little")


def verify(public, message, signature):
    """Whether `signature` (64 bytes) is that of `message` under `public` (32 bytes). Anything malformed is False."""
    if not (_has_size(signature, 64) and isinstance(message, _BYTES) and _acceptable(public)):
        return False
    point = bytes(signature[:32])
    answer = int.from_bytes(signature[32:], "little")
    if answer >= _ORDER or _has_small_order(point):
        return False
    challenge = _hash(point, public, message) % _ORDER
    return combine(public, challenge.to_bytes(32, "little"), _signed_bits(answer)) == point


def valid_point(public):
    """Whether `public` is a key to enrol: 32 bytes, reduced, on the curve and of prime order.

    Equal to libsodium's `crypto_core_ed25519_is_valid_point`. Costs as much as `verify`.
    """
    return _acceptable(public) and combine(public, _ORDER.to_bytes(32, "little"), _signed_bits(0)) == b"\x01" + bytes(
        31
    )


def _has_size(data, size):
    return isinstance(data, _BYTES) and len(data) == size


def _acceptable(public):
    if not _has_size(public, 32):
        return False
    return _y(public) < _FIELD and not _has_small_order(public)


def _y(data):
    return int.from_bytes(data, "little") & ((1 << 255) - 1)


def _has_small_order(data):
    """Whether y is 0, 1 or -1, or that of a point of order eight."""
    y = _y(data)
    return min(y, _FIELD - y) in (0, 1, _y(SMALL_ORDER))


def _hash(*parts):
    """SHA-512 of the parts, read as a little-endian integer."""
    return int.from_bytes(sha512(*parts), "little")


def _signed_bits(scalar):
    """A scalar modulo L as the comb reads it: 260 bits, 1 for + and 0 for -, in 33 bytes."""
    # The signed bits of an odd n are the bits of (n + 2**260 - 1) / 2; an even n takes the odd n + L in its place.
    scalar += _ORDER * (1 - (scalar & 1))
    return ((scalar + (1 << 260) - 1) >> 1).to_bytes(33, "little")


def _expand(seed):
    """(seed, secret scalar, nonce prefix, public key), RFC 8032, 5.1.5; that of the last seed is kept."""
    global _last_key
    if not _has_size(seed, 32):
        raise ValueError("an Ed25519 seed has 32 bytes")
    if _last_key[0] != seed:
        digest = sha512(seed)
        secret = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254
        _last_key = (bytes(seed), secret, digest[32:], multiply_base(_signed_bits(secret % _ORDER)))
    return _last_key
