"""SHA-512 (FIPS 180-4) for boards: ESP32's hashlib ends at SHA-256, and Ed25519 needs this.

The compression function is `_sha512_viper`'s where MicroPython has the viper emitter, else `_sha512_plain`'s:
`compress(state, data, offset)` works 128 bytes of `data` into the 64-byte state.
"""

try:
    from _sha512_viper import compress
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no viper emitter, or a .mpy of another architecture
    from _sha512_plain import compress
from _sha512_tables import CONSTANTS


def sha512(*parts):
    """The 64-byte SHA-512 of the parts (bytes), one after the other.

    They are read where they lie: only the rest of a block is copied.
    """
    state = bytearray(CONSTANTS[640:])
    block = bytearray(128)
    size = 0
    for data in parts + (None,):
        if data is None:  # the end: the padding
            data = b"\x80" + bytes((111 - size) & 127) + (8 * size).to_bytes(16, "big")
        offset = 0
        held = size & 127
        size += len(data)
        if held:
            offset = min(128 - held, len(data))
            block[held : held + offset] = data[:offset]
            if held + offset < 128:
                continue
            compress(state, block, 0)
        while offset + 128 <= len(data):
            compress(state, data, offset)
            offset += 128
        block[: len(data) - offset] = data[offset:]
    return bytes(state)
