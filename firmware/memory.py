"""What a board keeps outside of its file system: a few numbers and the key in NVS, and what outlives a deep sleep.

NVS survives a corrupt file system and `edgetally flash --update`. The memory of the real-time clock survives a deep
sleep and nothing else that counts; what stands there is taken only with its checksum, and only after a deep sleep.
"""

import struct
from binascii import crc32

import esp32

KEY_BYTES = 32
_MAGIC = b"ETR1"


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
        """The seed, or None."""
        seed = bytearray(KEY_BYTES)
        try:
            if self._nvs.get_blob("key", seed) == KEY_BYTES:
                return bytes(seed)
        except OSError:
            pass
        return None

    def set_key(self, seed):
        self._nvs.set_blob("key", seed)
        self._nvs.commit()

    def forget_key(self):
        if self.key() is not None:
            self._nvs.erase_key("key")
            self._nvs.commit()


def slept(wake_ms, resume):
    """What to leave in the memory of the real-time clock: the counter at the end of the sleep, what the client wants."""
    data = struct.pack(">4sQ", _MAGIC, wake_ms) + resume
    return data + struct.pack(">I", crc32(data) & 0xFFFFFFFF)


def woken(data):
    """(milliseconds, resume) as `slept` left them, (0, b"") for anything else."""
    if len(data) < 16 or data[:4] != _MAGIC or crc32(data[:-4]) & 0xFFFFFFFF != struct.unpack(">I", data[-4:])[0]:
        return 0, b""
    return struct.unpack(">Q", data[4:12])[0], data[12:-4]
