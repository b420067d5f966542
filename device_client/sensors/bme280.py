"""Bosch BME280: temperature, humidity and pressure over I2C.

Source: BST-BME280-DS002, revision 1.6: section 4.2.2 table 16 (trimming), 4.2.3 (compensation, revision 1.1), 5.3 and
5.4 (registers), 9.1 (measurement time), 1.1 to 1.3 (ranges). The formulas are in `bme280_formulas`.
"""

from . import bme280_formulas, waits
from .faults import Absent, Garbage, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID, CHIP_ID = 0xD0, 0x60
CTRL_HUM, STATUS, CTRL_MEAS, DATA = 0xF2, 0xF3, 0xF4, 0xF7
TRIM_1, TRIM_2 = (0x88, 26), (0xE1, 7)
ONCE = 0b001_001_01  # oversampling x1 of temperature and pressure, forced mode; humidity x1 by CTRL_HUM
MEASURING = 0b1000
MEASURE_MS = 10  # 9.3 at most with oversampling x1
POLLS_MAX = 10
SKIPPED = 0x80000, 0x80000, 0x8000  # pressure, temperature, humidity: the channel did not measure


class Driver:
    """`config["address"]` is 0x76 or 0x77. One `read` takes about 10 ms, 100 at most."""

    moves = True  # in a live room its lowest digits do: a value that never changes is a fault
    private = False
    channels = [["temperature", "Cel", -2], ["humidity", "%RH", -2], ["pressure", "Pa", -1]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus
        self._address = config["address"]
        self._clock = clock
        self._trim: "tuple[int, ...]" = ()

    def read(self) -> "list[int | None]":
        trim, self._trim = self._trim or self._started(), ()
        pressure, temperature, humidity = self._measured()
        fine = bme280_formulas.t_fine(trim, temperature)
        celsius = within(-4000, bme280_formulas.temperature(fine), 8500, "temperature")
        percent = (bme280_formulas.humidity(trim, fine, humidity) * 100 + 512) >> 10
        pascal = (bme280_formulas.pressure(trim, fine, pressure) * 10 + 128) >> 8
        self._trim = trim  # only a sensor that gave values is the one that was trimmed so
        return [celsius, within(0, percent, 10_000, "humidity"), within(300_000, pascal, 1_100_000, "pressure")]

    def _started(self) -> "tuple[int, ...]":
        chip = self._bus.readfrom_mem(self._address, ID, 1)[0]
        if chip != CHIP_ID:
            raise Garbage("chip id 0x%02x is no BME280" % chip)
        parts = [self._bus.readfrom_mem(self._address, register, length) for register, length in (TRIM_1, TRIM_2)]
        trim = bme280_formulas.trimming(parts[0], parts[1])
        if trim[0] in (0, 0xFFFF) or trim[3] in (0, 0xFFFF):
            raise Garbage("its trimming is empty")
        return trim

    def _measured(self) -> "tuple[int, int, int]":
        """Raw pressure, temperature (20 bits) and humidity (16 bits)."""
        bus, address = self._bus, self._address
        bus.writeto_mem(address, CTRL_HUM, b"\x01")  # takes effect with the next write of CTRL_MEAS
        bus.writeto_mem(address, CTRL_MEAS, bytes((ONCE,)))
        for _ in range(POLLS_MAX):
            self._clock.sleep_ms(MEASURE_MS)
            if not bus.readfrom_mem(address, STATUS, 1)[0] & MEASURING:
                break
        else:
            raise Absent("it does not end its measurement")
        data = bus.readfrom_mem(address, DATA, 8)
        pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        humidity = data[6] << 8 | data[7]
        for value, skipped in zip((pressure, temperature, humidity), SKIPPED):
            if value == skipped:
                raise Garbage("it did not measure")
        return pressure, temperature, humidity
