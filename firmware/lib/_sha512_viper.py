# ruff: noqa: F821
"""SHA-512's compression function in MicroPython's viper (FIPS 180-4, 6.4).

A 64-bit word is two 32-bit words, the low one first. Rotations work on those; sums run over the same memory seen as
four 16-bit columns, so that carries need no 64-bit register. This takes a little-endian processor, as viper ports have.
"""

import micropython  # viper defines the names ptr8, ptr16, ptr32 and uint
from _sha512_tables import CONSTANTS

# From byte 240 on: a ring of 16 message words; four words, the sums and functions of a round; and a to h, which move
# down by one word in each of 80 rounds. _ed25519_viper.py uses the rest, and all of it between two calls.
memory = bytearray(34 * 40)


def compress(state, data, offset):
    """Work the 128 bytes of `data` from `offset` into `state`, a bytearray of eight big-endian 64-bit words."""
    _compress(memory, memory, memory, CONSTANTS, state, data, offset)


# Viper keeps the first three locals in registers.
@micropython.viper
def _compress(v: ptr32, t: ptr32, schedule: ptr16, constants: ptr8, state: ptr8, data: ptr8, offset: int):
    """The 80 rounds. Logical shifts need `uint`; what a left shift pushes past 32 bits is cut off by the store."""
    v = ptr32(int(v) + 1040)
    t = ptr32(int(t) + 368)
    schedule = ptr16(int(schedule) + 240)
    # Big-endian words become little-endian ones.
    out = ptr8(schedule)
    i = 0
    while i < 128:
        out[i ^ 7] = data[offset + i]
        i += 1
    out = ptr8(v)
    i = 0
    while i < 64:
        out[i ^ 7] = state[i]
        i += 1
    terms = ptr16(t)
    i = 0
    while i < 80:
        word = (i & 15) << 2
        if i > 15:
            w = ptr32(int(schedule) + ((i + 1 & 15) << 3))
            low = uint(w[0])
            high = uint(w[1])
            t[0] = (low >> 1 | high << 31) ^ (low >> 8 | high << 24) ^ (low >> 7 | high << 25)
            t[1] = (high >> 1 | low << 31) ^ (high >> 8 | low << 24) ^ high >> 7
            w = ptr32(int(schedule) + ((i + 14 & 15) << 3))
            low = uint(w[0])
            high = uint(w[1])
            t[2] = (low >> 19 | high << 13) ^ (high >> 29 | low << 3) ^ (low >> 6 | high << 26)
            t[3] = (high >> 19 | low << 13) ^ (low >> 29 | high << 3) ^ high >> 6
            other = (i + 9 & 15) << 2
            carry = 0
            column = 0
            while column < 4:
                carry += schedule[word + column] + terms[column] + schedule[other + column] + terms[column + 4]
                schedule[word + column] = carry
                carry >>= 16
                column += 1
        low = uint(v[8])
        high = uint(v[9])
        t[0] = (low >> 14 | high << 18) ^ (low >> 18 | high << 14) ^ (high >> 9 | low << 23)
        t[1] = (high >> 14 | low << 18) ^ (high >> 18 | low << 14) ^ (low >> 9 | high << 23)
        t[2] = v[12] ^ (v[8] & (v[10] ^ v[12]))
        t[3] = v[13] ^ (v[9] & (v[11] ^ v[13]))
        low = uint(v[0])
        high = uint(v[1])
        t[4] = (low >> 28 | high << 4) ^ (high >> 2 | low << 30) ^ (high >> 7 | low << 25)
        t[5] = (high >> 28 | low << 4) ^ (low >> 2 | high << 30) ^ (low >> 7 | high << 25)
        t[6] = (v[0] & v[2]) | (v[4] & (v[0] | v[2]))
        t[7] = (v[1] & v[3]) | (v[5] & (v[1] | v[3]))
        v = ptr32(int(v) - 8)
        halves = ptr16(v)  # the new a, then the old a to h
        first = 0
        fourth = 0
        carry = 0
        column = 0
        while column < 4:
            first += halves[column + 32] + terms[column] + terms[column + 4] + schedule[word + column]
            first += constants[0] | constants[1] << 8
            constants = ptr8(int(constants) + 2)
            fourth += halves[column + 16] + (first & 65535)
            halves[column + 16] = fourth
            fourth >>= 16
            carry += terms[column + 8] + terms[column + 12] + (first & 65535)
            halves[column] = carry
            carry >>= 16
            first >>= 16
            column += 1
        i += 1
    # Add a to h to the state.
    out = ptr8(v)
    carry = 0
    i = 0
    while i < 64:
        if i & 7 == 0:
            carry = 0
        carry += state[i ^ 7] + out[i]
        state[i ^ 7] = carry
        carry >>= 8
        i += 1
