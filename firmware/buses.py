"""The buses of a board, for the drivers of `device_client/sensors`: `opened(bus)` of one bus of /board.json.

I2C, UART and ADC are MicroPython's own; 1-Wire and pulses need a few lines.
"""

from device_client.sensors import waits

UART_BYTES = 512
CONVERT_MS = 750  # DS18B20 data sheet, table 2: at 12 bits, the most
DEBOUNCE_MS = 10  # a reed contact bounces for a few; a pulse of an S0 meter lasts 30 at least (DIN EN 62053-31)


def opened(bus):
    """What the driver of a sensor on `bus` is given. Raises ValueError for pins that the chip does not have."""
    import machine

    kind, pins = bus["kind"], bus["pins"]
    if kind == "i2c":
        sda, scl = machine.Pin(pins["sda"]), machine.Pin(pins["scl"])
        return machine.I2C(bus["id"], sda=sda, scl=scl, freq=bus["frequency"])
    if kind == "uart":
        return machine.UART(bus["id"], bus["frequency"], tx=pins["tx"], rx=pins["rx"], rxbuf=UART_BYTES, timeout=0)
    if kind == "onewire":
        import onewire

        return OneWire(onewire.OneWire(machine.Pin(pins["data"])))
    if kind == "adc":
        return machine.ADC(machine.Pin(pins["in"]), atten=machine.ADC.ATTN_11DB)
    if kind == "pulse":
        pin = machine.Pin(pins["in"], machine.Pin.IN, machine.Pin.PULL_UP)
        return Pulses(pin, machine.Pin.IRQ_FALLING, waits)
    raise ValueError("bus %s: no kind %s" % (bus["name"], kind))


class OneWire:
    """`wire` is MicroPython's `onewire.OneWire`. Raises OSError where no sensor says that it is there."""

    def __init__(self, wire):
        self._wire = wire

    def scan(self):
        return self._wire.scan() if self._wire.reset() else []

    def convert(self):
        self._begin()
        self._wire.writebyte(0xCC)  # every sensor on the bus
        self._wire.writebyte(0x44)
        return CONVERT_MS

    def scratchpad(self, rom):
        self._begin()
        self._wire.select_rom(rom)
        self._wire.writebyte(0xBE)
        data = bytearray(9)
        self._wire.readinto(data)
        return bytes(data)

    def _begin(self):
        if not self._wire.reset():
            raise OSError(19)


class Pulses:
    """Falling edges. The handler only adds to a small integer, and a read takes it whole: no edge is lost between."""

    def __init__(self, pin, falling, clock):
        self._pin = pin
        self._clock = clock
        self._count = 0
        self._last_ms = clock.ticks_ms() - DEBOUNCE_MS
        pin.irq(self._edge, falling)

    def _edge(self, pin):
        now_ms = self._clock.ticks_ms()
        if not 0 <= self._clock.ticks_diff(now_ms, self._last_ms) < DEBOUNCE_MS:
            self._count += 1
        self._last_ms = now_ms

    def count(self):
        return self._count
