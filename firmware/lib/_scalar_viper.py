# ruff: noqa: F821
"""Field elements and scalars to and from bytes, for _ed25519_viper.py, in MicroPython's viper."""

import micropython  # viper defines the names ptr8, ptr16, ptr32 and uint


@micropython.viper
def unpack(out: ptr16, slot: int, data: ptr8, count: int):
    """`count` slots from `slot` = 32 little-endian bytes of `data` each, without their top bit."""
    i = slot * 20
    offset = 0
    while count:
        count -= 1
        held = 0
        bits = 0
        end = i + 19
        while i < end:
            while bits < 13:
                held |= data[offset] << bits
                offset += 1
                bits += 8
            out[i] = held & 8191
            held >>= 13
            bits -= 13
            i += 1
        out[i] = (held | data[offset] << bits) & 255  # 19 limbs are 31 bytes less one bit
        offset += 1
        i += 1


@micropython.viper
def pack(out: ptr8, memory: ptr16, slot: int):
    """Write the element of a slot as its canonical 32 little-endian bytes (RFC 8032, 5.1.2). Constant time."""
    slot *= 20
    carry = 19
    i = 0
    while i < 19:
        carry = (memory[slot + i] + carry) >> 13
        i += 1
    # 1 when the value is >= p: then subtracting p is adding 19 and dropping bit 255.
    carry = 19 * ((memory[slot + 19] + carry) >> 8)
    held = 0
    bits = 0
    i = 0
    while i < 20:
        carry += memory[slot + i]
        if i == 19:
            carry &= 255
        held |= (carry & 8191) << bits
        carry >>= 13
        bits += 13
        while bits > 7:
            out[0] = held
            out = ptr8(int(out) + 1)
            held >>= 8
            bits -= 8
        i += 1


@micropython.viper
def select(entry: ptr8, table: ptr8, scalar: ptr8, position: int) -> int:
    """Copy the comb entry that the scalar's teeth name at bit `position` into `entry`; 1 if it is to be subtracted.

    `table` is the comb, `entry` 64 bytes, `scalar` 33 bytes of signed bits (see make_tables.py). The
    scalar is secret: all 8 entries are read and masked, so that no address and no branch depends on it.
    """
    index = 0
    tooth = 4
    while tooth:
        tooth -= 1
        at = position + 65 * tooth
        index = index << 1 | (scalar[at >> 3] >> (at & 7)) & 1
    negative = 1 - (index >> 3)
    index = (index ^ (0 - negative)) & 7
    i = 0
    while i < 64:
        entry[i] = 0
        i += 1
    number = 0
    while number < 8:
        # A mask is -1 for the one entry that is meant, else 0.
        mask0 = ((number ^ index) - 1) >> 8
        mask1 = ((number + 1 ^ index) - 1) >> 8
        mask2 = ((number + 2 ^ index) - 1) >> 8
        mask3 = ((number + 3 ^ index) - 1) >> 8
        i = 0
        while i < 64:
            entry[i] |= table[i] & mask0 | table[i + 64] & mask1 | table[i + 128] & mask2 | table[i + 192] & mask3
            i += 1
        table = ptr8(int(table) + 256)
        number += 4
    return negative


@micropython.viper
def recode(digits: ptr8, scalar: ptr8):
    """Write a public scalar < 2**253 (32 bytes) as 256 digits, one byte each: its width-4 NAF, 0 or odd, -7 to 7."""
    carry = 0
    i = 0
    while i < 256:
        digits[i] = 0
        if (scalar[i >> 3] >> (i & 7)) & 1 != carry:
            digit = carry
            bit = 0
            while bit < 4:
                at = i + bit
                if at < 256:
                    digit += ((scalar[at >> 3] >> (at & 7)) & 1) << bit
                    digits[at] = 0
                bit += 1
            carry = digit >> 3  # a digit of 8 to 15 stands for itself less 16
            digits[i] = digit - (carry << 4)
            i += 4
        else:
            i += 1
