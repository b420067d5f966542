"""An SHT31 on the level of its commands (Datasheet SHT3x-DIS version 5, sections 4.3, 4.4 and 4.12)."""

ROOM = (0x6666, 0x8000)  # 25 Celsius, 50 %RH: raw words by section 4.13


class SHT31:
    """`raw` is (temperature, humidity). `spoil` is XORed into the last byte of an answer."""

    def __init__(self, raw=ROOM):
        self.present = True
        self.raw = raw
        self.spoil = 0
        self._answer = b""

    def write(self, data):
        if not self.present:
            raise OSError(19)
        if data == b"\x24\x00":
            self._answer = b"".join(
                [word + bytes((crc(word),)) for word in [raw.to_bytes(2, "big") for raw in self.raw]]
            )

    def read(self, length):
        if not self.present or not self._answer:
            raise OSError(19)  # it does not acknowledge its address without a result
        answer, self._answer = self._answer[:length], b""
        return answer[:-1] + bytes((answer[-1] ^ self.spoil,))


def crc(data):
    """Table 20 by long division of bits, with the initial 0xFF as an XOR of the first eight."""
    bits = int.from_bytes(bytes((data[0] ^ 0xFF,)) + data[1:], "big") << 8
    for at in range(8 * len(data) - 1, -1, -1):
        if bits >> (at + 8) & 1:
            bits ^= 0x131 << at
    return bits
