"""NOR flash in memory: a block device that clears bits, erases sectors, counts, fails and is torn. Runs on CPython and
on MicroPython, where the real LittleFS can be mounted on it.

`torn(image)` is called with every flash that a power cut in the next write or erase may leave: nothing of it, all of
it, parts of it from the front, some of its bits, and in an erase garbage where it was not done.
"""

SECTOR = 4096


def cleared(old, new):
    """Old bytes programmed with new ones."""
    return (int.from_bytes(old, "big") & int.from_bytes(new, "big")).to_bytes(len(new), "big")


class Nor:
    def __init__(self, sectors, image=None):
        self.data = bytearray(image) if image else bytearray(b"\xff" * SECTOR * sectors)
        self.sectors = sectors
        self.erases = [0] * sectors
        self.writes = 0
        self.written = 0
        self.torn = None
        self.fail_at = 0  # the number of the write or erase that is to fail
        self.failing = None  # how many bytes of it are done nevertheless

    def readblocks(self, block, buffer, offset=0):
        at = block * SECTOR + offset
        assert offset >= 0 and at + len(buffer) <= len(self.data)
        buffer[:] = self.data[at : at + len(buffer)]

    def writeblocks(self, block, data, offset=None):
        if offset is None:  # as esp32.Partition does
            for sector in range(block, block + len(data) // SECTOR):
                self.ioctl(6, sector)
            offset = 0
        at = block * SECTOR + offset
        assert offset + len(data) <= SECTOR or offset == 0, "beyond its sector"
        self._change(at, cleared(self.data[at : at + len(data)], data), False)
        self.writes += 1
        self.written += len(data)

    def ioctl(self, command, argument):
        if command == 4:
            return self.sectors
        if command == 5:
            return SECTOR
        if command == 6:
            self.erases[argument] += 1
            self._change(argument * SECTOR, b"\xff" * SECTOR, True)
        return 0

    def outbox(self):
        """The one that belongs on it."""
        from device_client.core.ring import Ring

        return Ring(self)

    @property
    def firm(self):
        """As of tests.core.flash: all that is written survives."""
        return len(self.data)

    def _change(self, at, new, is_erase):
        if self.torn:
            for part in torn_parts(bytes(self.data[at : at + len(new)]), new, is_erase):
                self.torn(self.data[:at] + part + self.data[at + len(new) :])
        self.fail_at -= 1
        if self.fail_at == 0:
            done = min(self.failing, len(new))
            self.data[at : at + done] = new[:done]
            raise OSError(5)
        self.data[at : at + len(new)] = new


def torn_parts(old, new, is_erase):
    """What may stand there after a cut."""
    length = len(new)
    if length == 1:
        return [old, bytes((old[0] & (new[0] | 0x5A),))]  # done means: as before the next change
    if not is_erase:
        parts = [new[:kept] + old[kept:] for kept in (1, min(9, length), length // 2, length - 1)]
        return parts + [bytes([old[index] & (new[index] | 0xA5) for index in range(length)])]
    parts = [new[:kept] + old[kept:] for kept in (7, 30, 2000)]
    parts.append(old[:2000] + new[2000:])
    parts.append(new[:300] + bytes([(7 * index + 3) & 0xFF for index in range(length - 300)]))
    return parts
