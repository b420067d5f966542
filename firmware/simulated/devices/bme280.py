"""A BME280 on the level of its registers (BST-BME280-DS002, sections 3.3, 4 and 5)."""

import struct

# Pressure and temperature: the worked example of the BMP280 (BST-BMP280-DS001 section 3.12), whose formulas and
# trimming are the same. No data sheet has an example of humidity: this trimming is that of a sensor in a room, as its
# owner published it.
T = (27504, 26435, -1000)
P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
H = (75, 357, 0, 322, 0, 30)
RAW_PRESSURE, RAW_TEMPERATURE, RAW_HUMIDITY = 415148, 519888, 30281


class BME280:
    """`raw` is (pressure, temperature, humidity), what the next measurement finds. It measures for `polls` looks at its
    status."""

    def __init__(self, raw=(RAW_PRESSURE, RAW_TEMPERATURE, RAW_HUMIDITY), trimming=(T, P, H), chip_id=0x60, polls=1):
        self.present = True
        self.raw = raw
        self.polls = polls
        self._busy = 0
        self._at = 0
        self._humidity_on = False
        self.registers = bytearray(256)
        self.registers[0xD0] = chip_id
        t, p, h = trimming
        self.registers[0x88:0xA0] = struct.pack("<HhhHhhhhhhhh", *(t + p))
        h1, h2, h3, h4, h5, h6 = h
        self.registers[0xA1] = h1
        self.registers[0xE1:0xE4] = struct.pack("<hB", h2, h3)
        self.registers[0xE4] = h4 >> 4 & 0xFF
        self.registers[0xE5] = (h5 & 0x0F) << 4 | h4 & 0x0F
        self.registers[0xE6] = h5 >> 4 & 0xFF
        self.registers[0xE7] = h6 & 0xFF
        self._put((0x80000, 0x80000, 0x8000))

    def write(self, data):
        """A register's number, then values and numbers by turns (section 6.2.1)."""
        if not self.present:
            raise OSError(19)
        self._at = data[0]
        for at in range(1, len(data), 2):
            number = data[at - 1]
            self.registers[number] = data[at]
            if number == 0xF4 and data[at] & 3 in (1, 2):
                self._measure(data[at])

    def read(self, length):
        if not self.present:
            raise OSError(19)
        if self._at == 0xF3:
            self.registers[0xF3] = 8 if self._busy else 0
            self._busy = max(0, self._busy - 1)
        data = bytes(self.registers[self._at : self._at + length])
        return data + bytes(length - len(data))

    def _measure(self, control):
        pressure, temperature, humidity = self.raw
        self._put(
            (
                pressure if control >> 2 & 7 else 0x80000,
                temperature if control >> 5 else 0x80000,
                humidity if self.registers[0xF2] & 7 else 0x8000,
            )
        )
        self.registers[0xF4] &= 0xFC  # asleep again when it is done
        self._busy = self.polls

    def _put(self, raw):
        pressure, temperature, humidity = raw
        for at, value in ((0xF7, pressure), (0xFA, temperature)):
            self.registers[at : at + 3] = bytes((value >> 12, value >> 4 & 0xFF, (value & 0x0F) << 4))
        self.registers[0xFD:0xFF] = bytes((humidity >> 8, humidity & 0xFF))
