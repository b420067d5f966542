"""What a board keeps in NVS, outside of its file system: the key and a few numbers.

It survives a corrupt file system and `edgetally flash --update`.
"""

import esp32

KEY_BYTES = 32
_NO_KEY = (-0x1102, -0x110C)  # ESP_ERR_NVS_NOT_FOUND; _INVALID_LENGTH: longer than a key


class Memory:
    """Raises OSError where NVS cannot be written."""

    def __init__(self):
        self._nvs = esp32.NVS("edgetally")

    def number(self, name):
        """0 if it was never set."""
        try:
            return self._nvs.get_i32(name)
        except OSError:
            return 0

    def set_number(self, name, value):
        if self.number(name) != value:
            self._nvs.set_i32(name, value)
            self._nvs.commit()

    def key(self):
        """The seed, or None if there is none. What cannot be read may be there the next time: that raises."""
        seed = bytearray(KEY_BYTES)
        try:
            if self._nvs.get_blob("key", seed) == KEY_BYTES:
                return bytes(seed)
        except OSError as trouble:
            if trouble.errno not in _NO_KEY:
                raise
        return None

    def set_key(self, seed):
        self._nvs.set_blob("key", seed)
        self._nvs.commit()

    def forget_key(self):
        if self.key() is not None:
            self._nvs.erase_key("key")
            self._nvs.commit()
