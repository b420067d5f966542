# ruff: noqa: F821
"""Field elements of _field_viper.py to and from bytes, in MicroPython's viper."""

import micropython  # viper defines the names ptr8, ptr16, ptr32 and uint


@micropython.viper
def unpack(out: ptr16, slot: int, data: ptr8, offset: int):
    """Slot `slot` of the memory `out` = the 32 little-endian bytes of `data` from `offset`, without their top bit."""
    held = 0
    bits = 0
    i = slot * 20
    end = offset + 32
    last = i + 19
    while i < last:
        while bits < 13:
            held |= data[offset] << bits
            offset += 1
            bits += 8
        out[i] = held & 8191
        held >>= 13
        bits -= 13
        i += 1
    if offset < end:
        held |= data[offset] << bits
    out[i] = held & 255


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
