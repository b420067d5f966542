"""Ed25519 point multiplication for MicroPython ports with the viper emitter. ed25519.py chooses and uses it.

Everything but the digits of a public scalar is computed in buffers that are allocated once: 34 slots of field elements,
of which SHA-512 uses all but the first six between two calls, and the columns of a product, which hold encoded elements
between two programs. Not reentrant: one thread at a time.
"""

# The largest to compile comes first, while the heap is empty.
from _field_viper import run
from _scalar_viper import pack, recode, select, unpack
from _sha512_viper import memory
from _ed25519_tables import COMB, CONSTANTS, PROGRAMS
from micropython import const

# Slots and programs, as make_tables.py numbers them.
_X = const(6)
_Y = const(7)
_A = const(10)
_B = const(11)
_D = const(13)
_E = const(14)
_TABLE = const(18)  # four addends, the odd multiples of a point, four slots each
_LAST = const(30)
_ENTRY = const(22)  # the comb's addend: the table is not in use then, but its first place may be
_IDENTITY = const(0)
_DOUBLE = const(1)
_DOUBLE_WITHOUT_T = const(2)
_ADD = const(3)  # and the next one subtracts
_ADD_AFFINE = const(5)  # likewise
_TO_ADDEND = const(7)
_TO_AFFINE = const(8)
_RECOVER_X = const(9)
_OTHER_ROOT = const(10)
_NEGATE_X = const(11)
_FINISH_POINT = const(12)

_columns = bytearray(240)
memory[80] = 1  # slot 2, and slot 1 is zero
unpack(memory, 3, CONSTANTS, 3)


def multiply_base(bits):
    """The 32 bytes of n * B; n comes as 260 signed bits (33 bytes) from ed25519.py and does not show in the time."""
    _comb(bits)
    return _encode()


def combine(public, scalar, bits):
    """The 32 bytes of n * B - scalar * A, in variable time; None if `public` is no point A of the curve.

    `public` is 32 bytes whose y is < p, `scalar` 32 bytes, less than 2**253, `bits` n as above.
    """
    if not _decode(public):
        return None
    _multiply_negated(scalar)
    _run(_TO_ADDEND, _TABLE)
    _comb(bits)
    _run(_ADD, _TABLE)
    return _encode()


def _run(number, base=0):
    run(memory, memory, _columns, PROGRAMS, number, base)


def _pack(slot):
    pack(_columns, memory, slot)
    return _columns


def _encode():
    _run(_TO_AFFINE)
    sign = _pack(_A)[0] & 1
    _pack(_B)[31] |= sign << 7
    return bytes(_columns[:32])


def _decode(data):
    """Make these 32 bytes the point (RFC 8032, 5.1.3); False if they are none."""
    unpack(memory, _Y, data, 1)
    _run(_RECOVER_X)
    if any(_pack(_D)[:32]):
        if any(_pack(_E)[:32]):
            return False
        _run(_OTHER_ROOT)
    if _pack(_X)[0] & 1 != data[31] >> 7:
        _run(_NEGATE_X)
    _run(_FINISH_POINT)
    return True


def _comb(bits):
    """The point = n * B."""
    _run(_IDENTITY)
    for i in range(64, -1, -1):
        _run(_DOUBLE)
        sign = select(_columns, COMB, bits, i)
        unpack(memory, _ENTRY + 2, _columns, 2)
        _run(_ADD_AFFINE + sign, _ENTRY)


def _multiply_negated(scalar):
    """The point = -scalar * the point, with a table of its odd multiples 1 to 7."""
    _run(_TO_ADDEND, _TABLE)
    _run(_DOUBLE)
    _run(_TO_ADDEND, _LAST)  # twice the point, until the last multiple takes its place
    base = _TABLE
    for slot in range(_TABLE + 4, _TABLE + 16, 4):
        _run(_ADD, base)
        _run(_TO_ADDEND, slot)
        base = _LAST
    digits = bytearray(256)
    recode(digits, scalar)
    _run(_IDENTITY)
    for i in range(255, -1, -1):
        digit = digits[i]
        _run(_DOUBLE if digit or i == 0 else _DOUBLE_WITHOUT_T)
        if digit > 127:
            _run(_ADD, _TABLE + (256 - digit >> 1 << 2))
        elif digit:
            _run(_ADD + 1, _TABLE + (digit >> 1 << 2))
