"""NMEA 0183 sentences, as far as a position needs them: checksum, GGA and RMC.

    $ttGGA,time,ddmm.mm,N,dddmm.mm,E,quality,satellites,hdop,altitude,M,...*hh
    $ttRMC,time,status,ddmm.mm,N,dddmm.mm,E,...*hh

`tt` is the talker (GP, GN, GL, GA, GB, ...); hh is the XOR of everything between $ and *. At most 82 characters
(NMEA 0183 version 3.01, section 5.3.1). Integers only: a position is in millionths of a degree.
"""

LINE_BYTES_MAX = 82
DIGITS_MAX = 9
# GGA quality: 1 GPS, 2 differential, 3 PPS, 4 and 5 RTK. 0 is no fix; 6 is reckoned, 7 typed in, 8 simulated.
MEASURED = (b"1", b"2", b"3", b"4", b"5")


def fields(line: bytes) -> "list[bytes]":
    """The fields of a sentence whose checksum is right, the first without its talker ("GGA"); else none."""
    line = line.strip()
    if len(line) > LINE_BYTES_MAX or line[:1] != b"$" or line[-3:-2] != b"*":
        return []
    parity = 0
    for byte in line[1:-3]:
        parity ^= byte
    if b"%02X" % parity != line[-2:].upper():
        return []
    found = line[1:-3].split(b",")
    return [found[0][2:]] + found[1:] if len(found[0]) == 5 else []


def scaled(text: bytes, decimals: int) -> "int | None":
    """A decimal number times 10^decimals, rounded half up; None for anything else."""
    sign = -1 if text[:1] == b"-" else 1
    whole, _, part = text[text[:1] == b"-" :].partition(b".")
    if not whole or len(whole) > DIGITS_MAX or len(part) > DIGITS_MAX or not _digits(whole + part):
        return None
    value = int(whole + part) * _ten(decimals)
    unit = _ten(len(part))
    return sign * ((2 * value + unit) // (2 * unit))


def degrees(text: bytes, half: bytes, halves: bytes, limit: int) -> "int | None":
    """Millionths of a degree of (d)ddmm.mm and its half of the world, of which the second counts down."""
    whole, _, part = text.partition(b".")
    if len(whole) != len(b"%d" % limit) + 2 or len(part) > DIGITS_MAX or not _digits(whole + part):
        return None
    if len(half) != 1 or half not in halves:
        return None
    minutes, unit = int(whole[-2:] + part), _ten(len(part))
    if minutes >= 60 * unit:
        return None
    value = int(whole[:-2]) * 1_000_000 + (2_000_000 * minutes + 60 * unit) // (120 * unit)
    if value > limit * 1_000_000:
        return None
    return -value if half == halves[1:] else value


def _ten(power: int) -> int:
    return int(10**power)


def _digits(text: bytes) -> bool:
    return all(0x30 <= byte <= 0x39 for byte in text)
