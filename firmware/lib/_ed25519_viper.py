"""Ed25519 point multiplication for MicroPython ports with the viper emitter. ed25519.py chooses and uses it.

Everything is computed in buffers that are allocated once, 2.7 KB: 50 slots of field elements, the columns of a product,
one entry of the comb and the digits of a scalar. Not reentrant: one thread at a time.
"""

# The largest to compile comes first, while the heap is empty.
from _field_viper import run
from _field_bytes_viper import pack, unpack
from _scalar_viper import recode, select
from _ed25519_tables import COMB
import _ed25519_programs as programs

_TABLE = programs.SLOTS_NAMED  # eight addends, the odd multiples of a point, four slots each
_LAST = _TABLE + 28
_ENTRY = _TABLE + 4  # the comb's addend: the table is not in use then, but its first place may be
_ZERO = bytes(32)

_memory = bytearray(40 * (_TABLE + 32))
_columns = bytearray(240)
_entry = bytearray(96)
_digits = bytearray(256)
_packed = bytearray(32)
for _slot in range(5):
    unpack(_memory, 1 + _slot, programs.CONSTANTS, 32 * _slot)


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
    _run(programs.TO_ADDEND, _TABLE)
    _comb(bits)
    _run(programs.ADD, _TABLE)
    return _encode()


def _run(program, addend=0):
    run(_memory, _memory, _columns, program, len(program) >> 2, addend)


def _pack(slot):
    pack(_packed, _memory, slot)
    return _packed


def _encode():
    _run(programs.TO_AFFINE)
    sign = _pack(programs.SLOT_A)[0] & 1
    _pack(programs.SLOT_B)[31] |= sign << 7
    return bytes(_packed)


def _decode(encoded):
    """Make these 32 bytes the point (RFC 8032, 5.1.3); False if they are none."""
    unpack(_memory, programs.SLOT_Y, encoded, 0)
    _run(programs.RECOVER_X)
    if _pack(programs.SLOT_D) != _ZERO:
        if _pack(programs.SLOT_E) != _ZERO:
            return False
        _run(programs.OTHER_ROOT)
    if _pack(programs.SLOT_X)[0] & 1 != encoded[31] >> 7:
        _run(programs.NEGATE_X)
    _run(programs.FINISH_POINT)
    return True


def _comb(bits):
    """The point = n * B."""
    additions = (programs.ADD_AFFINE, programs.SUBTRACT_AFFINE)
    _run(programs.IDENTITY)
    for column in range(12, -1, -1):
        _run(programs.DOUBLE)
        for comb in range(4):
            negative = select(_entry, COMB[comb], bits, column + 65 * comb)
            for slot in range(3):
                unpack(_memory, _ENTRY + slot, _entry, 32 * slot)
            _run(additions[negative], _ENTRY)


def _multiply_negated(scalar):
    """The point = -scalar * the point, with a table of its odd multiples 1 to 15."""
    _run(programs.TO_ADDEND, _TABLE)
    _run(programs.DOUBLE)
    _run(programs.TO_ADDEND, _LAST)  # twice the point, until the last multiple takes its place
    addend = _TABLE
    for multiple in range(_TABLE + 4, _TABLE + 32, 4):
        _run(programs.ADD, addend)
        _run(programs.TO_ADDEND, multiple)
        addend = _LAST
    recode(_digits, scalar)
    _run(programs.IDENTITY)
    steps_without_t = (len(programs.DOUBLE) >> 2) - 1
    for i in range(255, 0, -1):
        digit = _digits[i]
        if digit == 0:
            run(_memory, _memory, _columns, programs.DOUBLE, steps_without_t, 0)
        else:
            _run(programs.DOUBLE)
            _subtract(digit)
    _run(programs.DOUBLE)
    if _digits[0]:
        _subtract(_digits[0])


def _subtract(digit):
    """The point -= digit * the table's point; digits above 127 are negative."""
    if digit < 128:
        _run(programs.SUBTRACT, _TABLE + (digit >> 1 << 2))
    else:
        _run(programs.ADD, _TABLE + (256 - digit >> 1 << 2))
