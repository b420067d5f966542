"""Sensirion SHT31: temperature and humidity over I2C.

Source: Datasheet SHT3x-DIS, version 5: section 2.2 table 4 (15 ms at most), 4.3 table 9 (commands), 4.4 (readout),
4.12 table 20 (CRC), 4.13 (conversion); ranges from section 1.
"""

from . import waits
from .faults import Garbage, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MEASURE = b"\x24\x00"  # single shot, high repeatability, no clock stretching
MEASURE_MS = 16


class Driver:
    """`config["address"]` is 0x44 or 0x45. One `read` takes 16 ms."""

    moves = True
    private = False
    channels = [["temperature", "Cel", -2], ["humidity", "%RH", -2]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus
        self._address = config["address"]
        self._clock = clock

    def read(self) -> "list[int | None]":
        self._bus.writeto(self._address, MEASURE)
        self._clock.sleep_ms(MEASURE_MS)
        data = self._bus.readfrom(self._address, 6)
        for word in (data[:3], data[3:]):
            if crc8(word[:2]) != word[2]:
                raise Garbage("wrong CRC")
        celsius = temperature(data[0] << 8 | data[1])
        return [within(-4000, celsius, 12_500, "temperature"), humidity(data[3] << 8 | data[4])]


def temperature(raw: int) -> int:
    """Hundredths of a degree Celsius: -45 + 175 * raw / (2^16 - 1)."""
    return -4500 + (17_500 * raw + 32_767) // 65_535


def humidity(raw: int) -> int:
    """Hundredths of %RH: 100 * raw / (2^16 - 1)."""
    return (10_000 * raw + 32_767) // 65_535


def crc8(data: bytes) -> int:
    """x^8 + x^5 + x^4 + 1, begun with 0xFF, most significant bit first."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x31) & 0xFF if crc & 0x80 else crc << 1
    return crc
