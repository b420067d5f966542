"""What MicroPython's `esp32` module has, over the flash file of a simulated board: Partition, NVS, a thermometer.

`attach(flash)` comes first. Errors are those of the ESP-IDF. NVS keeps two copies in the partition `nvs`, each with a
checksum, and writes them in turn: a power cut leaves the older one. Its format is the simulation's own; what is set but
not committed is lost with the power, the strictest reading of the documentation.
"""

import struct
from binascii import crc32

import flash as chip

_NOT_FOUND = OSError(-4354, "ESP_ERR_NVS_NOT_FOUND")
_flash = None
_table = []


def attach(flash):
    """Raises flash.NoTable."""
    global _flash, _table, _nvs
    _flash, _table = flash, chip.partitions(flash)
    _nvs = None


def mcu_temperature():
    return 25


def raw_temperature():
    return 77  # Fahrenheit


class Partition:
    """See `esp32.Partition`; a block is a sector."""

    BOOT, RUNNING = 0, 1
    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, id, block_size=chip.SECTOR_BYTES):
        named = [one for one in _table if one[4] == id or (one[0] == 0 and isinstance(id, int))]
        if not named:
            raise OSError(2)
        self._info = named[0]
        self._at, self._size = self._info[2:4]

    @staticmethod
    def find(type=0, subtype=0xFF, label=None, block_size=chip.SECTOR_BYTES):
        return [
            Partition(one[4])
            for one in _table
            if one[0] == type and subtype in (0xFF, one[1]) and label in (None, one[4])
        ]

    def info(self):
        return self._info

    def _place(self, block, offset, length):
        at = block * chip.SECTOR_BYTES + offset
        if not 0 <= at <= at + length <= self._size:
            raise OSError(-258, "ESP_ERR_INVALID_ARG")
        return self._at + at

    def readblocks(self, block, buffer, offset=0):
        _flash.read(self._place(block, offset, len(buffer)), buffer)

    def writeblocks(self, block, data, offset=None):
        """With an offset it only programs; without one it erases the sectors before."""
        at = self._place(block, offset or 0, len(data))
        if offset is None:
            for sector in range(at, at + len(data), chip.SECTOR_BYTES):
                _flash.erase(sector)
        _flash.program(at, data)

    def ioctl(self, command, argument=0):
        if command == 4:
            return self._size // chip.SECTOR_BYTES
        if command == 5:
            return chip.SECTOR_BYTES
        if command == 6:
            _flash.erase(self._place(argument, 0, chip.SECTOR_BYTES))
        return 0 if command in (1, 2, 3, 6) else None


# NVS

_HEAD = ">4sIII"  # magic, how often it was written, bytes of the body, checksum of those two and the body
_HEAD_BYTES, _MAGIC = 16, b"SNVS"
_nvs = None  # {(namespace, key): int or bytes} as committed, once it was read
_written = 0


def _halves():
    part = [one for one in _table if one[:2] == (1, 2)]
    if not part:
        raise OSError(-261, "ESP_ERR_NOT_FOUND")
    half = part[0][3] // chip.SECTOR_BYTES // 2 * chip.SECTOR_BYTES
    return part[0][2], half


def _load():
    global _nvs, _written
    if _nvs is not None:
        return
    start, half = _halves()
    _nvs, _written = {}, 0
    for at in (start, start + half):
        head = bytearray(_HEAD_BYTES)
        _flash.read(at, head)
        magic, count, length, checksum = struct.unpack(_HEAD, head)
        if magic != _MAGIC or length > half - _HEAD_BYTES or count <= _written:
            continue
        body = bytearray(length)
        _flash.read(at + _HEAD_BYTES, body)
        if crc32(head[4:12] + body) & 0xFFFFFFFF == checksum:
            _written = count
            _nvs = _parsed(body)


def _parsed(body):
    held, at = {}, 0
    while at < len(body):
        space, key, kind, length = struct.unpack(">BBBH", body[at : at + 5])
        at += 5
        names = body[at : at + space + key].decode()
        at += space + key
        value = bytes(body[at : at + length])
        at += length
        held[(names[:space], names[space:])] = struct.unpack(">i", value)[0] if kind == 0 else value
    return held


def _store():
    global _written
    body = b""
    for space, key in sorted(_nvs):
        value = _nvs[(space, key)]
        kind = 1 if isinstance(value, bytes) else 0
        data = value if kind else struct.pack(">i", value)
        names = (space + key).encode()
        body += struct.pack(">BBBH", len(space), len(key), kind, len(data)) + names + data
    start, half = _halves()
    if len(body) > half - _HEAD_BYTES:
        raise OSError(-4357, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
    _written += 1
    at = start + half * (_written % 2)
    for sector in range(at, at + half, chip.SECTOR_BYTES):
        _flash.erase(sector)
    counts = struct.pack(">II", _written, len(body))
    _flash.program(at + _HEAD_BYTES, body)
    _flash.program(at, _MAGIC + counts + struct.pack(">I", crc32(counts + body) & 0xFFFFFFFF))


class NVS:
    """See `esp32.NVS`: integers of 32 bits and blobs, by keys of 15 characters."""

    def __init__(self, namespace):
        if not 0 < len(namespace) <= 15:
            raise OSError(-4356, "ESP_ERR_NVS_INVALID_NAME")
        _load()
        self._space = namespace
        self._changed = {}

    def _set(self, key, value):
        if not 0 < len(key) <= 15:
            raise OSError(-4356, "ESP_ERR_NVS_INVALID_NAME")
        self._changed[key] = value

    def _get(self, key, kind):
        value = self._changed[key] if key in self._changed else _nvs.get((self._space, key))
        if not isinstance(value, kind):
            raise _NOT_FOUND
        return value

    def set_i32(self, key, value):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("overflow converting long int to machine word")
        self._set(key, value)

    def get_i32(self, key):
        return self._get(key, int)

    def set_blob(self, key, value):
        self._set(key, bytes(value))

    def get_blob(self, key, buffer):
        value = self._get(key, bytes)
        if len(value) > len(buffer):
            raise OSError(-4364, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        self._get(key, (int, bytes))
        self._changed[key] = None

    def commit(self):
        for key, value in self._changed.items():
            if value is None:
                _nvs.pop((self._space, key), None)
            else:
                _nvs[(self._space, key)] = value
        if self._changed:
            self._changed = {}
            _store()
