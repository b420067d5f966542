"""Ed25519 point multiplication on the interpreter's big integers: where there is no viper emitter, CPython included.

Same functions and answers as _ed25519_viper.py. The time depends on the scalars: see ed25519.py on side channels.
A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, x y = T/Z (RFC 8032, 5.1.4).
"""

from _ed25519_tables import COMB

_P = 2**255 - 19
_D = 37095705934669439343138083508754565189542113879843219016388785533085940283555
_ROOT = pow(2, (_P - 1) // 4, _P)  # of -1
_NEUTRAL = (0, 1, 1, 0)


def multiply_base(bits):
    """The 32 bytes of n * B, which ed25519.py gives as 260 signed bits (33 bytes)."""
    return _encode(_comb(bits))


def combine(public, scalar, bits):
    """The 32 bytes of n * B - scalar * A; None if `public` is no point A of the curve.

    `public` is 32 bytes whose y is < p, `scalar` 32 bytes, less than 2**253, `bits` n as above.
    """
    point = _decode(public)
    if point is None:
        return None
    x, y, z, t = point
    return _encode(_add(_comb(bits), _multiply((-x, y, z, -t), scalar)))


def _add(left, right):
    x1, y1, z1, t1 = left
    x2, y2, z2, t2 = right
    a = (y1 - x1) * (y2 - x2) % _P
    b = (y1 + x1) * (y2 + x2) % _P
    c = 2 * _D * t1 * t2 % _P
    d = 2 * z1 * z2 % _P
    return _extended(b - a, d - c, d + c, b + a)


def _double(point):
    x, y, z, _ = point
    a = x * x
    b = y * y
    h = a + b
    g = a - b
    return _extended((h - (x + y) * (x + y)) % _P, (2 * z * z + g) % _P, g % _P, h % _P)


def _extended(e, f, g, h):
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _comb(bits):
    """n * B: the tables and their digits are explained in make_tables.py."""
    signs = int.from_bytes(bits, "little")
    point = _NEUTRAL
    for column in range(64, -1, -1):
        point = _double(point)
        index = 0
        for tooth in range(4):
            index |= (signs >> 65 * tooth + column & 1) << tooth
        at = 64 * (index & 7 if index > 7 else ~index & 7)
        x, y = (int.from_bytes(COMB[i : i + 32], "little") for i in (at, at + 32))
        if index < 8:
            x = -x
        point = _add(point, (x, y, 1, x * y))
    return point


def _multiply(point, scalar):
    """scalar * point, four bits of the little-endian scalar at a time."""
    multiples = [_NEUTRAL]
    while len(multiples) < 16:
        multiples.append(_add(multiples[-1], point))
    answer = _NEUTRAL
    for i in range(31, -1, -1):
        for digit in (scalar[i] >> 4, scalar[i] & 15):
            answer = _double(_double(_double(_double(answer))))
            if digit:
                answer = _add(answer, multiples[digit])
    return answer


def _encode(point):
    x, y, z, _ = point
    inverse = pow(z, _P - 2, _P)
    return (y * inverse % _P | (x * inverse % _P & 1) << 255).to_bytes(32, "little")


def _decode(encoded):
    """The point of 32 bytes whose y is < p, or None (RFC 8032, 5.1.3)."""
    y = int.from_bytes(encoded, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    x = u * v**3 * pow(u * v**7 % _P, (_P - 5) // 8, _P) % _P
    remainder = (v * x * x - u) % _P
    if remainder:
        if (remainder + 2 * u) % _P:
            return None
        x = x * _ROOT % _P
    if x & 1 != sign:
        x = -x % _P
    return x, y, 1, x * y % _P
