"""What a reading must be, computed another way: fractions instead of integers, C's own integers instead of wrapping.

`exact_*` are the formulas in floating point of BST-BME280-DS002, section 8.1, here without rounding; `c_*` those of
4.2.3 in ctypes, which overflow as a compiler for a processor with two's complement lets them.
"""

from ctypes import c_int32, c_int64, c_uint32
from fractions import Fraction

Trim = tuple[int, ...]


def exact_temperature(trim: Trim, raw: int) -> tuple[int, Fraction]:
    """(t_fine, degrees Celsius)."""
    t1, t2, t3 = trim[:3]
    first = (Fraction(raw, 16384) - Fraction(t1, 1024)) * t2
    second = (Fraction(raw, 131072) - Fraction(t1, 8192)) ** 2 * t3
    return int(first + second), (first + second) / 5120


def exact_pressure(trim: Trim, fine: int, raw: int) -> Fraction:
    """Pascal."""
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = trim[3:12]
    first = Fraction(fine, 2) - 64000
    second = first * first * p6 / 32768 + first * p5 * 2
    second = second / 4 + p4 * 65536
    first = (p3 * first * first / 524288 + p2 * first) / 524288
    first = (1 + first / 32768) * p1
    pressure = (1048576 - raw - second / 4096) * 6250 / first
    return pressure + (p9 * pressure * pressure / 2147483648 + pressure * p8 / 32768 + p7) / 16


def exact_humidity(trim: Trim, fine: int, raw: int) -> Fraction:
    """%RH."""
    h1, h2, h3, h4, h5, h6 = trim[12:]
    warmth = Fraction(fine) - 76800
    value = raw - (h4 * 64 + Fraction(h5, 16384) * warmth)
    value *= Fraction(h2, 65536) * (1 + Fraction(h6, 67108864) * warmth * (1 + Fraction(h3, 67108864) * warmth))
    value *= 1 - h1 * value / 524288
    return min(max(value, Fraction(0)), Fraction(100))


def _c(value: int) -> int:
    return c_int32(value).value


def _cc(value: int) -> int:
    return c_int64(value).value


def c_pressure(trim: Trim, fine: int, raw: int) -> int:
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = trim[3:12]
    var1 = _cc(fine - 128000)
    var2 = _cc(_cc(var1 * var1) * p6)
    var2 = _cc(var2 + _cc(_cc(var1 * p5) << 17))
    var2 = _cc(var2 + _cc(p4 << 35))
    var1 = _cc((_cc(_cc(var1 * var1) * p3) >> 8) + _cc(_cc(var1 * p2) << 12))
    var1 = _cc(_cc((1 << 47) + var1) * p1) >> 33
    if var1 == 0:
        return 0
    p = 1048576 - raw
    quotient = Fraction(_cc(_cc(_cc(p << 31) - var2) * 3125), var1)
    p = _cc(int(quotient))  # towards zero, as C divides
    var1 = _cc(_cc(p9 * (p >> 13)) * (p >> 13)) >> 25
    var2 = _cc(p8 * p) >> 19
    p = _cc((_cc(_cc(p + var1) + var2) >> 8) + _cc(p7 << 4))
    return c_uint32(p).value


def c_humidity(trim: Trim, fine: int, raw: int) -> int:
    h1, h2, h3, h4, h5, h6 = trim[12:]
    v = _c(fine - 76800)
    left = _c(_c(_c(_c(raw << 14) - _c(h4 << 20)) - _c(h5 * v)) + 16384) >> 15
    inner = _c(_c(_c(v * h3) >> 11) + 32768)
    right = _c(_c(_c(_c(_c(_c(v * h6) >> 10) * inner) >> 10) + 2097152) * h2)
    v = _c(left * (_c(right + 8192) >> 14))
    v = _c(v - (_c((_c((v >> 15) * (v >> 15)) >> 7) * h1) >> 4))
    v = min(max(v, 0), 419430400)
    return v >> 12


def c_t_fine(trim: Trim, raw: int) -> int:
    t1, t2, t3 = trim[:3]
    first = _c(_c((raw >> 3) - _c(t1 << 1)) * t2) >> 11
    apart = _c((raw >> 4) - t1)
    return _c(first + (_c(_c(_c(apart * apart) >> 12) * t3) >> 14))


def nearest(value: Fraction, decimals: int) -> int:
    """Rounded half up to a whole number of 10^-decimals."""
    return int((value * 10**decimals + Fraction(1, 2)) // 1)
