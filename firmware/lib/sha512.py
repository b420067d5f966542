"""SHA-512 (FIPS 180-4) for boards: ESP32's hashlib ends at SHA-256, and Ed25519 needs this.

`Sha512` is hashlib's where hashlib has it (CPython). Elsewhere it is `Hash` over one of two compression functions:
`_sha512_viper` where MicroPython has the viper emitter, else `_sha512_plain`.
"""

import hashlib

from _sha512_tables import INITIAL

try:
    from _sha512_viper import compress
except (ImportError, SyntaxError, ValueError):  # no `micropython`, no viper emitter, or a .mpy of another architecture
    from _sha512_plain import compress


class Hash:
    """As hashlib's object, with `update` and `digest` alone; after `digest` it is spent.

    `compress(state, data, offset)` works 128 bytes of `data` into the 64-byte state.
    """

    def __init__(self, compress=compress):
        self._compress = compress
        self._state = bytearray(INITIAL)
        self._block = bytearray(128)
        self._length = 0

    def update(self, data):
        """Append bytes to the message. They are read where they lie: only the rest of a block is copied."""
        offset = 0
        held = self._length & 127
        self._length += len(data)
        if held:
            offset = min(128 - held, len(data))
            self._block[held : held + offset] = data[:offset]
            if held + offset < 128:
                return
            self._compress(self._state, self._block, 0)
        while offset + 128 <= len(data):
            self._compress(self._state, data, offset)
            offset += 128
        self._block[: len(data) - offset] = data[offset:]

    def digest(self):
        """The 64 bytes."""
        length = self._length
        self.update(b"\x80" + bytes((111 - length) & 127) + (8 * length).to_bytes(16, "big"))
        return bytes(self._state)


Sha512 = getattr(hashlib, "sha512", Hash)


def sha512(data):
    """The 64-byte SHA-512 of `data` (bytes)."""
    state = Sha512()
    state.update(data)
    return state.digest()
