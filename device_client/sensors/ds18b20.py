"""Maxim DS18B20: temperature over 1-Wire.

Source: DS18B20 data sheet 19-7487, revision 6: table 1 (temperature/data), table 2 and figure 10 (resolution and
conversion time), figure 9 (scratchpad), "CRC generation"; the CRC also in Application Note 27.

Its bus has `scan() -> [rom, ...]`, `convert() -> ms until it is done` for all sensors on it and `scratchpad(rom) -> 9
bytes`; that of a Pi lets the kernel do all three.
"""

from . import waits
from .faults import Absent, Garbage, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FAMILY = 0x28
POWER_ON = 0x0550  # +85 Celsius: what the register holds before the first conversion
SILENCE = b"\xff" * 9  # nobody pulls the bus down
NEAR_POWER_ON = 0x0500  # +80 Celsius


class Driver:
    """One sensor on its bus. One `read` takes 750 ms."""

    moves = True
    private = False
    channels = [["temperature", "Cel", -4]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus
        self._clock = clock
        self._rom = b""
        self._last = 0

    def read(self) -> "list[int | None]":
        rom, self._rom = self._rom or self._found(), b""
        self._clock.sleep_ms(self._bus.convert())
        raw = word(self._bus.scratchpad(rom))
        if raw == POWER_ON and self._last < NEAR_POWER_ON:
            raise Garbage("it lost its power before it had measured")
        celsius = within(-550_000, raw * 625, 1_250_000, "temperature")
        self._rom, self._last = rom, raw
        return [celsius]

    def _found(self) -> bytes:
        answers = self._bus.scan()
        found = [rom for rom in answers if len(rom) == 8 and rom[0] == FAMILY and crc8(rom) == 0]
        if len(found) > 1:
            raise Garbage("%d sensors on one bus; one is meant" % len(found))
        if answers and not found:
            raise Garbage("what answers is no DS18B20, or the bus is held low")
        if not found:
            raise Absent("no sensor on the bus")
        return bytes(found[0])


def word(scratchpad: bytes) -> int:
    """The temperature in 1/16 degrees Celsius, without the bits that a lower resolution leaves undefined."""
    if scratchpad == SILENCE:
        raise Absent("it does not answer")
    if len(scratchpad) != 9 or crc8(scratchpad):
        raise Garbage("wrong CRC")
    if not any(scratchpad):  # whose CRC is right
        raise Garbage("the bus is held low")
    if scratchpad[4] & 0b1001_1111 != 0b0001_1111:
        raise Garbage("no configuration of a DS18B20")
    undefined = 3 - (scratchpad[4] >> 5)
    raw = (scratchpad[1] << 8 | scratchpad[0]) >> undefined << undefined
    return raw - 0x10000 if raw & 0x8000 else raw


def crc8(data: bytes) -> int:
    """x^8 + x^5 + x^4 + 1, begun with 0, least significant bit first; 0 over data with its CRC behind it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc
