"""The compensation formulas of the BME280 in integers, as 32-bit and 64-bit registers compute them.

Source: BST-BME280-DS002 revision 1.6, section 4.2.3, code revision 1.1. There products overflow in C for trimming
values that no sensor has; here they wrap, so that every interpreter gives what a register would hold. C divides
towards zero, Python does not.

`trim` is (T1..T3, P1..P9, H1..H6).
"""

import struct

HUMIDITY_MAX = 419_430_400  # 100 %RH


def trimming(first: bytes, second: bytes) -> "tuple[int, ...]":
    """Table 16: registers 0x88 to 0xA1 and 0xE1 to 0xE7."""
    t_and_p = struct.unpack("<HhhHhhhhhhhh", first[:24])
    h1 = first[25]
    h2, h3 = struct.unpack("<hB", second[:3])
    h4 = _signed(second[3] << 4 | second[4] & 0x0F, 12)
    h5 = _signed(second[5] << 4 | second[4] >> 4, 12)
    return t_and_p + (h1, h2, h3, h4, h5, _signed(second[6], 8))


def t_fine(trim: "tuple[int, ...]", raw: int) -> int:
    t1, t2, t3 = trim[:3]
    first = _i32(((raw >> 3) - (t1 << 1)) * t2) >> 11
    apart = (raw >> 4) - t1
    second = _i32((_i32(apart * apart) >> 12) * t3) >> 14
    return _i32(first + second)


def temperature(fine: int) -> int:
    """Hundredths of a degree Celsius."""
    return _i32(fine * 5 + 128) >> 8


def pressure(trim: "tuple[int, ...]", fine: int, raw: int) -> int:
    """Pascal in Q24.8; 0 where the formula would divide by zero."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = trim[3:12]
    first = fine - 128_000
    second = _i64(first * first * p6)
    second = _i64(second + ((first * p5) << 17))
    second = _i64(second + (p4 << 35))
    first = _i64((_i64(first * first * p3) >> 8) + ((first * p2) << 12))
    first = _i64(_i64((1 << 47) + first) * p1) >> 33
    if first == 0:
        return 0
    dividend = _i64(_i64(((1_048_576 - raw) << 31) - second) * 3125)
    value = abs(dividend) // abs(first)
    if (dividend < 0) != (first < 0):
        value = -value
    value = _i64(value)
    first = _i64(_i64(p9 * (value >> 13)) * (value >> 13)) >> 25
    second = _i64(p8 * value) >> 19
    return (_i64((_i64(value + first + second) >> 8) + (p7 << 4))) & 0xFFFFFFFF


def humidity(trim: "tuple[int, ...]", fine: int, raw: int) -> int:
    """%RH in Q22.10."""
    h1, h2, h3, h4, h5, h6 = trim[12:]
    warmth = _i32(fine - 76_800)
    left = _i32(_i32((raw << 14) - (h4 << 20) - _i32(h5 * warmth)) + 16_384) >> 15
    right = _i32((_i32(warmth * h6) >> 10) * ((_i32(warmth * h3) >> 11) + 32_768)) >> 10
    right = _i32(_i32((right + 2_097_152) * h2) + 8_192) >> 14
    value = _i32(left * right)
    square = _i32((value >> 15) * (value >> 15)) >> 7
    value = _i32(value - (_i32(square * h1) >> 4))
    return min(max(value, 0), HUMIDITY_MAX) >> 12


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _i32(value: int) -> int:
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _i64(value: int) -> int:
    return ((value + 0x8000000000000000) & 0xFFFFFFFFFFFFFFFF) - 0x8000000000000000
