# ruff: noqa: F821
"""Arithmetic modulo p = 2**255 - 19 for MicroPython's viper emitter: a machine that runs programs of field operations.

A field element is 20 limbs of 13 bits, 16-bit words, least significant first; the top limb holds 8 bits. Elements
live in an array of 40-byte slots; a program is made of four-byte steps `(operation, out, a, b)`, the last three being
slots. One call runs a whole point addition: nothing is allocated, and no field operation costs a call. Programs lie in
one bytes literal, which begins with two bytes for each: where it starts, in steps, and how many steps it has.

Bounds, which hold on 32-bit ports (signed 32-bit viper integers) as on 64-bit ones:
- every operation leaves limbs <= 8250 (13 bits and a small excess) and a value < 2**255 + 2**20, and accepts the same;
- a column of a product is <= 20 * 8250**2 < 2**31. Only the middle product of Karatsuba's method exceeds that, being of
  sums of two limbs: 10 * 16500**2 < 2**32. It is added, subtracted and stored, never shifted, so wrapping is harmless.

No branch and no address depends on the value of an element: only on the program.
"""

import micropython  # viper defines the names ptr8, ptr16, ptr32 and uint
from micropython import const

# Operations; 0 is out = a * b and 3 is out = a - b.
_SQUARE = const(1)  # out = a ** (2 ** b): here b is a count, not a slot
_ADD = const(2)  # out = a + b

_SLOT_SIZE = const(40)  # bytes
_COLUMNS_SIZE = const(240)  # bytes: three products of 10 x 10 limbs, 20 words each


# Viper keeps the first three locals in registers: they must be the three pointers of the inner products.
@micropython.viper
def run(a: ptr16, b: ptr16, t: ptr32, program: ptr8, number: int, base: int):
    """Run a program of the collection `program`; a slot >= 128 counts from `base`, others from 0. Slot 0 is scratch.

    `a` and `b` are both the memory of slots, `t` is a buffer of 240 bytes.
    """
    memory = int(a)
    sums = ptr16(memory)
    steps = program[2 * number + 1]
    program = ptr8(int(program) + 4 * program[2 * number])
    while steps:
        steps -= 1
        operation = program[0]
        slot = program[1]
        if slot > 127:
            slot += base - 128
        out = ptr16(memory + slot * _SLOT_SIZE)
        slot = program[2]
        if slot > 127:
            slot += base - 128
        a = ptr16(memory + slot * _SLOT_SIZE)
        count = 1
        slot = program[3]
        if operation == _SQUARE:
            count = slot
            b = a
        else:
            if slot > 127:
                slot += base - 128
            b = ptr16(memory + slot * _SLOT_SIZE)
        program = ptr8(int(program) + 4)
        if operation < _ADD:
            while count:
                count -= 1
                # Karatsuba: t[0:19] = low * low, t[20:39] = high * high, t[40:59] = (low + high) * (low + high).
                i = 0
                while i < 10:
                    sums[i] = a[i] + a[i + 10]
                    sums[i + 10] = b[i] + b[i + 10]
                    t[i] = 0
                    t[i + 20] = 0
                    t[i + 40] = 0
                    i += 1
                part = 0
                if operation == _SQUARE:
                    while part < 3:
                        t[0] = a[0] * a[0]
                        t[1] = 2 * a[0] * a[1]
                        t[2] = a[1] * a[1] + 2 * a[0] * a[2]
                        t[3] = 2 * (a[0] * a[3] + a[1] * a[2])
                        t[4] = a[2] * a[2] + 2 * (a[0] * a[4] + a[1] * a[3])
                        t[5] = 2 * (a[0] * a[5] + a[1] * a[4] + a[2] * a[3])
                        t[6] = a[3] * a[3] + 2 * (a[0] * a[6] + a[1] * a[5] + a[2] * a[4])
                        t[7] = 2 * (a[0] * a[7] + a[1] * a[6] + a[2] * a[5] + a[3] * a[4])
                        t[8] = a[4] * a[4] + 2 * (a[0] * a[8] + a[1] * a[7] + a[2] * a[6] + a[3] * a[5])
                        t[9] = 2 * (a[0] * a[9] + a[1] * a[8] + a[2] * a[7] + a[3] * a[6] + a[4] * a[5])
                        t[10] = a[5] * a[5] + 2 * (a[1] * a[9] + a[2] * a[8] + a[3] * a[7] + a[4] * a[6])
                        t[11] = 2 * (a[2] * a[9] + a[3] * a[8] + a[4] * a[7] + a[5] * a[6])
                        t[12] = a[6] * a[6] + 2 * (a[3] * a[9] + a[4] * a[8] + a[5] * a[7])
                        t[13] = 2 * (a[4] * a[9] + a[5] * a[8] + a[6] * a[7])
                        t[14] = a[7] * a[7] + 2 * (a[5] * a[9] + a[6] * a[8])
                        t[15] = 2 * (a[6] * a[9] + a[7] * a[8])
                        t[16] = a[8] * a[8] + 2 * a[7] * a[9]
                        t[17] = 2 * a[8] * a[9]
                        t[18] = a[9] * a[9]
                        part += 1
                        a = ptr16(int(a) + 20)
                        t = ptr32(int(t) + 80)
                        if part == 2:
                            a = sums
                else:
                    while part < 6:
                        # Five limbs of `a` by ten of `b`. Columns 9 to 13 are touched here for the first time.
                        t[0] += a[0] * b[0]
                        t[1] += a[0] * b[1] + a[1] * b[0]
                        t[2] += a[0] * b[2] + a[1] * b[1] + a[2] * b[0]
                        t[3] += a[0] * b[3] + a[1] * b[2] + a[2] * b[1] + a[3] * b[0]
                        t[4] += a[0] * b[4] + a[1] * b[3] + a[2] * b[2] + a[3] * b[1] + a[4] * b[0]
                        t[5] += a[0] * b[5] + a[1] * b[4] + a[2] * b[3] + a[3] * b[2] + a[4] * b[1]
                        t[6] += a[0] * b[6] + a[1] * b[5] + a[2] * b[4] + a[3] * b[3] + a[4] * b[2]
                        t[7] += a[0] * b[7] + a[1] * b[6] + a[2] * b[5] + a[3] * b[4] + a[4] * b[3]
                        t[8] += a[0] * b[8] + a[1] * b[7] + a[2] * b[6] + a[3] * b[5] + a[4] * b[4]
                        t[9] = a[0] * b[9] + a[1] * b[8] + a[2] * b[7] + a[3] * b[6] + a[4] * b[5]
                        t[10] = a[1] * b[9] + a[2] * b[8] + a[3] * b[7] + a[4] * b[6]
                        t[11] = a[2] * b[9] + a[3] * b[8] + a[4] * b[7]
                        t[12] = a[3] * b[9] + a[4] * b[8]
                        t[13] = a[4] * b[9]
                        part += 1
                        a = ptr16(int(a) + 10)
                        if part & 1:
                            t = ptr32(int(t) + 20)
                        else:
                            t = ptr32(int(t) + 60)
                            b = ptr16(int(b) + 20)
                        if part == 4:
                            a = sums
                            b = ptr16(memory + 20)
                t = ptr32(int(t) - _COLUMNS_SIZE)
                i = 0
                while i < 9:
                    low = t[i + 10] - t[i + 20]
                    t[i + 10] = t[i + 40] + low - t[i]
                    t[i + 20] = t[i + 50] - low - t[i + 30]
                    i += 1
                t[19] = t[49] - t[9] - t[29]
                # 2**260 = 608 (mod p): column 20 + i comes back, carried to 13 bits, as 608 times itself in column i.
                low = 0
                high = 0
                i = 0
                while i < 19:
                    high += t[i + 20]
                    low += t[i] + 608 * (high & 8191)
                    out[i] = low & 8191
                    high >>= 13
                    low >>= 13
                    i += 1
                low += t[19] + 608 * high
                out[19] = low & 255
                low = out[0] + 19 * (low >> 8)  # 2**255 = 19
                out[0] = low & 8191
                low = out[1] + (low >> 13)
                out[1] = low & 8191
                out[2] += low >> 13
                a = out
                b = out
        else:
            # A difference is a - b + 2p, so that no limb is negative.
            low = 0
            i = 0
            if operation == _ADD:
                while i < 19:
                    low += a[i] + b[i]
                    out[i] = low & 8191
                    low >>= 13
                    i += 1
                low += a[19] + b[19]
            else:
                low = -36
                while i < 19:
                    low += a[i] + 16382 - b[i]
                    out[i] = low & 8191
                    low >>= 13
                    i += 1
                low += a[19] + 510 - b[19]
            out[19] = low & 255
            out[0] += 19 * (low >> 8)
