# ruff: noqa: F821
"""The digits of scalars, which are little-endian bytes, for _ed25519_viper.py, in MicroPython's viper."""

import micropython  # viper defines the names ptr8, ptr16, ptr32 and uint


@micropython.viper
def select(entry: ptr8, table: ptr8, scalar: ptr8, position: int) -> int:
    """Copy the comb entry that the scalar's teeth name at bit `position` into `entry`; 1 if it is to be subtracted.

    `table` is one piece of the comb, `entry` 96 bytes, `scalar` 33 bytes of signed bits (see make_tables.py). The
    scalar is secret: all 16 entries are read and masked, so that no address and no branch depends on it.
    """
    index = 0
    tooth = 5
    while tooth:
        tooth -= 1
        at = position + 13 * tooth
        index = index << 1 | (scalar[at >> 3] >> (at & 7)) & 1
    negative = 1 - (index >> 4)
    index = (index ^ (0 - negative)) & 15
    i = 0
    while i < 96:
        entry[i] = 0
        i += 1
    number = 0
    while number < 16:
        # A mask is -1 for the one entry that is meant, else 0.
        mask0 = ((number ^ index) - 1) >> 8
        mask1 = ((number + 1 ^ index) - 1) >> 8
        mask2 = ((number + 2 ^ index) - 1) >> 8
        mask3 = ((number + 3 ^ index) - 1) >> 8
        i = 0
        while i < 96:
            entry[i] |= table[i] & mask0 | table[i + 96] & mask1 | table[i + 192] & mask2 | table[i + 288] & mask3
            i += 1
        table = ptr8(int(table) + 384)
        number += 4
    return negative


@micropython.viper
def recode(digits: ptr8, scalar: ptr8):
    """Write a public scalar < 2**253 (32 bytes) as 256 digits, one byte each: its width-5 NAF, 0 or odd, -15 to 15."""
    carry = 0
    i = 0
    while i < 256:
        digits[i] = 0
        if (scalar[i >> 3] >> (i & 7)) & 1 != carry:
            digit = carry
            bit = 0
            while bit < 5:
                at = i + bit
                if at < 256:
                    digit += ((scalar[at >> 3] >> (at & 7)) & 1) << bit
                    digits[at] = 0
                bit += 1
            carry = digit >> 4  # a digit of 16 to 31 stands for itself less 32
            digits[i] = digit - (carry << 5)
            i += 5
        else:
            i += 1
