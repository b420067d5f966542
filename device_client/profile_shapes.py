"""What a board profile is, checked: the values that `profiles` gives."""

from typing import NamedTuple

from .power import Power


class Chip(NamedTuple):
    """`hardware/chips.toml`: pins by what they can do; `family` as esptool says it, `arch` as mpy-cross does."""

    name: str
    kind: str
    family: str
    arch: str
    pins: frozenset[int]
    flash: frozenset[int]
    console: frozenset[int]
    usb: frozenset[int]
    strapping: frozenset[int]
    input_only: frozenset[int]
    adc1: frozenset[int]
    uarts: int


class Part(NamedTuple):
    """Something to buy: the maker's `number`, and the price of one in euro cents as seen in the month `seen`."""

    name: str
    number: str
    quantity: int
    price_cents: int
    seen: str


class SensorKind(NamedTuple):
    """`hardware/sensors.toml`: `wires` are (label on the sensor, power rail or role of the bus's pin); `current_ua` is
    what it draws while it measures."""

    kind: str
    name: str
    bus: str
    addresses: tuple[int, ...]
    wires: tuple[tuple[str, str], ...]
    pull_up_ohm: int
    current_ua: int
    parts: tuple[Part, ...]


class Bus(NamedTuple):
    """`id` is the number of the peripheral, on a Raspberry Pi also the path of a serial port. `frequency` is in Hz,
    that of a UART in baud; 0 where it has no meaning."""

    name: str
    kind: str
    id: int | str
    pins: dict[str, int]
    frequency: int


class Sensor(NamedTuple):
    """`address` on an I2C bus, else 0."""

    name: str
    kind: str
    bus: str
    address: int


class Profile(NamedTuple):
    """`pins` holds those of led, led_also and button that the board has. `bits` is how wide the system of a
    Raspberry Pi must be, 0 on an ESP32; `header` is [(label, position)] in the maker's order; `sources` are (title,
    address) of what the figures come from."""

    board: str
    name: str
    kind: str
    chip: Chip
    flash_mb: int
    pins: dict[str, int]
    led_kind: str
    led_active: int
    led_fitted: bool
    watchdog_s: int
    deep_sleep: bool
    os: str
    bits: int
    header: tuple[tuple[str, str], ...]
    buses: tuple[Bus, ...]
    sensors: tuple[Sensor, ...]
    power: Power
    parts: tuple[Part, ...]
    sources: tuple[tuple[str, str], ...]

    @property
    def arch(self) -> str:
        return self.chip.arch
