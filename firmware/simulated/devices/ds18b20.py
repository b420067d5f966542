"""A DS18B20 on the level of the bytes of 1-Wire (DS18B20 data sheet 19-7487 revision 6: commands, figures 8 and 9)."""

SKIP_ROM, MATCH_ROM, CONVERT, READ_SCRATCHPAD = 0xCC, 0x55, 0x44, 0xBE
ROM = b"\x28\x4e\x01\x02\x03\x00\x00"  # family and serial; its CRC follows


class DS18B20:
    """`raw` is the temperature in 1/16 degrees Celsius that the next conversion finds; until then the register holds
    its power-on value. `resolution` is 9 to 12 bits. `spoil` is XORed into the CRC."""

    def __init__(self, raw=0x0191, rom=ROM, resolution=12):
        self.present = True
        self.rom = rom + bytes((crc(rom),))
        self.raw = raw
        self.spoil = 0
        self.resolution = resolution
        self.power_on()

    def power_on(self):
        self._held = 0x0550
        self._said = None
        self._out = b""

    def reset(self):
        self._said, self._out = b"", b""
        return self.present

    def write(self, byte):
        if not self.present or self._said is None:
            return
        self._said += bytes((byte,))
        command = b""
        if self._said[0] == SKIP_ROM:
            command = self._said[1:]
        elif self._said[0] == MATCH_ROM and len(self._said) > 9:
            command = self._said[9:] if self._said[1:9] == self.rom else b""
        if command == bytes((CONVERT,)):
            undefined = 12 - self.resolution
            self._held = self.raw >> undefined << undefined | (1 << undefined) - 1  # undefined bits are set here
        elif command == bytes((READ_SCRATCHPAD,)):
            configuration = (self.resolution - 9) << 5 | 0x1F
            data = (self._held & 0xFFFF).to_bytes(2, "little") + bytes((0x4B, 0x46, configuration, 0xFF, 0x0C, 0x10))
            self._out = data + bytes((crc(data) ^ self.spoil,))

    def read(self):
        """The next byte; 0xFF where nobody pulls the bus down."""
        if not self.present or not self._out:
            return 0xFF
        byte, self._out = self._out[0], self._out[1:]
        return byte


def crc(data):
    """Figure 11: a shift register of eight bits, fed bit by bit, the lowest first."""
    register = [0] * 8
    for byte in data:
        for bit in range(8):
            fed = register[7] ^ (byte >> bit & 1)
            register = [fed, register[0], register[1], register[2], register[3] ^ fed, register[4] ^ fed] + register[
                5:7
            ]
    return sum([bit << 7 - at for at, bit in enumerate(register)])
