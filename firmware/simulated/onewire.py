"""MicroPython's frozen `onewire`, for a simulated board: the same class over simulated devices.

`attach(pin, devices)`: those on one data pin, each with `rom`, `present`, `reset()`, `write(byte)` and `read()`.
`short(pin)` ties the wire to ground: every bit reads 0, which looks like a presence.
"""

_devices = {}
_shorted = set()


class OneWireError(Exception):
    pass


def attach(pin, devices):
    _devices[pin] = devices


def short(pin, shorted=True):
    if shorted:
        _shorted.add(pin)
    else:
        _shorted.discard(pin)


class OneWire:
    SEARCH_ROM, MATCH_ROM, SKIP_ROM = 0xF0, 0x55, 0xCC

    def __init__(self, pin):
        self._pin = getattr(pin, "_id", pin)

    def _all(self):
        return [one for one in _devices.get(self._pin, ()) if one.present]

    def reset(self, required=False):
        present = self._pin in _shorted or max([one.reset() for one in self._all()] or [False])
        if required and not present:
            raise OneWireError
        return present

    def writebyte(self, value):
        if self._pin not in _shorted:
            for one in self._all():
                one.write(value)

    def write(self, data):
        for value in data:
            self.writebyte(value)

    def readbyte(self):
        value = 0 if self._pin in _shorted else 0xFF
        for one in self._all():
            value &= one.read()  # a wired AND
        return value

    def readinto(self, buffer):
        for at in range(len(buffer)):
            buffer[at] = self.readbyte()

    def select_rom(self, rom):
        self.reset()
        self.writebyte(self.MATCH_ROM)
        self.write(rom)

    def scan(self):
        if self._pin in _shorted:
            return [bytearray(8)]  # the search reads 0 for every bit
        return [bytearray(one.rom) for one in self._all()]
