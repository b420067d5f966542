"""SHA-512's compression function in plain Python (FIPS 180-4, 6.4): where there is neither hashlib's nor viper."""

from _sha512_tables import CONSTANTS

_MASK = (1 << 64) - 1


def compress(state, data, offset):
    """Work the 128 bytes of `data` from `offset` into `state`, a bytearray of eight big-endian 64-bit words."""
    words = [int.from_bytes(data[i : i + 8], "big") for i in range(offset, offset + 128, 8)]
    start = [int.from_bytes(state[i : i + 8], "big") for i in range(0, 64, 8)]
    a, b, c, d, e, f, g, h = start
    for i in range(80):
        if i >= 16:
            x = words[(i + 1) & 15]
            y = words[(i + 14) & 15]
            s0 = (x >> 1 | x << 63) ^ (x >> 8 | x << 56) ^ x >> 7
            s1 = (y >> 19 | y << 45) ^ (y >> 61 | y << 3) ^ y >> 6
            words[i & 15] = (words[i & 15] + (s0 & _MASK) + words[(i + 9) & 15] + (s1 & _MASK)) & _MASK
        s1 = (e >> 14 | e << 50) ^ (e >> 18 | e << 46) ^ (e >> 41 | e << 23)
        s0 = (a >> 28 | a << 36) ^ (a >> 34 | a << 30) ^ (a >> 39 | a << 25)
        constant = int.from_bytes(CONSTANTS[8 * i : 8 * i + 8], "little")
        first = h + (s1 & _MASK) + (e & f ^ ~e & g) + constant + words[i & 15]
        second = (s0 & _MASK) + (a & b ^ a & c ^ b & c)
        h, g, f, e, d, c, b, a = g, f, e, (d + first) & _MASK, c, b, a, (first + second) & _MASK
    for i, word in enumerate((a, b, c, d, e, f, g, h)):
        state[8 * i : 8 * i + 8] = ((start[i] + word) & _MASK).to_bytes(8, "big")
