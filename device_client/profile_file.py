"""Reading `hardware/`: boards, chips, headers and kinds of sensor, each key checked as it is read."""

import re
import tomllib
from functools import cache
from pathlib import Path

from .power import Power
from .profile_rules import check
from .profile_shapes import Bus, Chip, Part, Profile, Sensor, SensorKind
from .toml_table import ProfileError, Table

HARDWARE = Path(__file__).resolve().parent.parent / "hardware"
# The roles of a bus's pins.
ROLES = {
    "i2c": ("sda", "scl"),
    "uart": ("tx", "rx"),
    "onewire": ("data",),
    "adc": ("in",),
    "pulse": ("in",),
}
I2C_ADDRESSES = (0x08, 0x77)  # NXP UM10204, section 3.1.12: the others are reserved
BUSES_MAX = 12
SENSORS_MAX = 24
PARTS_MAX = 16
FILE_MAX = 65_536  # bytes


def read_toml(path: Path) -> Table:
    """Raises ProfileError."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_MAX + 1)
        if len(text) > FILE_MAX:
            raise ProfileError(f"{path.name}: more than {FILE_MAX} bytes")
        return Table(path.name, "", tomllib.loads(text.decode()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{path.name}: {error}") from None


@cache
def chips() -> dict[str, Chip]:
    file = read_toml(HARDWARE / "chips.toml")
    return {name: _chip(name, Table(file.file, name, values)) for name, values in file.rest().items()}


def _chip(name: str, table: Table) -> Chip:
    def some(key: str) -> frozenset[int]:
        return frozenset(table.integers(key, 64))

    found = Chip(
        name=name,
        kind=table.text("kind", ("esp32", "pi")),
        family=table.text("family"),
        arch=table.text("arch", ("xtensawin", "rv32imc"), default=""),
        pins=frozenset(pin for low, high in table.pairs("pins", 8, int) for pin in range(low, high + 1)),
        flash=some("flash"),
        console=some("console"),
        usb=some("usb"),
        strapping=some("strapping"),
        input_only=some("input_only"),
        adc1=some("adc1"),
        uarts=table.integer("uarts", 1, 6),
    )
    table.done()
    return found


@cache
def sensor_kinds() -> dict[str, SensorKind]:
    file = read_toml(HARDWARE / "sensors.toml")
    return {kind: _sensor_kind(kind, Table(file.file, kind, values)) for kind, values in file.rest().items()}


def _sensor_kind(kind: str, table: Table) -> SensorKind:
    found = SensorKind(
        kind,
        table.text("name"),
        table.text("bus", ROLES),
        tuple(table.integers("addresses", 8)),
        tuple(table.pairs("wires", 8, str)),
        table.integer("pull_up_ohm", 0, 100_000, default=0),
        table.integer("current_ua", 0, 500_000),
        tuple(_part(one) for one in table.tables("parts", PARTS_MAX)),
    )
    table.done()
    return found


def _part(table: Table) -> Part:
    found = Part(
        table.text("name"),
        table.text("number"),
        table.integer("quantity", 1, 100, default=1),
        table.integer("price_cents", 1, 100_000),
        table.text("seen"),
    )
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", found.seen):
        raise table.refuse("seen", f" is {found.seen!r}; it must be a month, as 2024-12")
    table.done()
    return found


def _power(table: Table, kind: str) -> Power:
    def milli(key: str) -> int:
        return table.integer(key, 1, 10_000)

    esp32 = kind == "esp32"
    found = Power(
        supply_ma=milli("supply_ma"),
        typical_ma=milli("typical_ma"),
        peak_ma=milli("peak_ma") if esp32 else 0,
        receive_ma=milli("receive_ma") if esp32 else 0,
        sleep_ua=table.integer("sleep_ua", 1, 100_000) if esp32 else 0,
        sleep_board_ua=table.integer("sleep_board_ua", 0, 100_000, default=0) if esp32 else 0,
        awake_ms=table.integer("awake_ms", 100, 600_000) if esp32 else 0,
        transmit_ms=table.integer("transmit_ms", 1, 600_000) if esp32 else 0,
    )
    table.done()
    return found


@cache
def _headers() -> dict[str, tuple[tuple[str, str], ...]]:
    file = read_toml(HARDWARE / "headers.toml")
    tables = {name: Table(file.file, name, values) for name, values in file.rest().items()}
    return {name: tuple(table.pairs("pins", 80, str)) for name, table in tables.items()}


def read_profile(path: Path) -> Profile:
    """A board's file, held against the rules of its chip. Raises ProfileError."""
    return profile_of(read_toml(path))


def profile_of(table: Table) -> Profile:
    """As `read_profile`, of what a file holds."""
    board, stem = table.text("board"), table.file.removesuffix(".toml")
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", board) or board != stem:
        raise table.refuse("board", f" is {board!r}; it must be the name of the file, of a-z, 0-9 and -: {stem}")
    name, kind = table.text("name"), table.text("kind", ("esp32", "pi"))
    chip = chips()[table.text("chip", [one.name for one in chips().values() if one.kind == kind])]
    header = _headers()[table.text("header", _headers())]
    flash_mb = table.integer("flash_mb", 4, 64) if kind == "esp32" else 0
    pins = table.table("pins") if kind == "esp32" or table.has("pins") else Table(table.file, "pins", {})
    found_pins = {role: pins.integer(role, 0, 63) for role in ("led", "led_also", "button") if pins.has(role)}
    led_kind = pins.text("led_kind", ("plain", "rgb")) if "led" in found_pins else ""
    led_active = pins.integer("led_active", 0, 1) if led_kind == "plain" else 1
    system = table.table("os") if kind == "pi" else None
    watchdog, sleep = table.table("watchdog"), table.table("sleep")
    found = Profile(
        board=board,
        name=name,
        kind=kind,
        chip=chip,
        flash_mb=flash_mb,
        pins=found_pins,
        led_kind=led_kind,
        led_active=led_active,
        led_fitted=pins.flag("led_fitted", True),
        watchdog_s=watchdog.integer("timeout_s", 10, 600),
        deep_sleep=sleep.flag("deep"),
        os=system.text("name") if system else "",
        bits=system.integer("bits", 64, 64) if system else 0,
        header=header,
        buses=tuple(_bus(one, kind) for one in table.tables("buses", BUSES_MAX)),
        sensors=tuple(_sensor(one) for one in table.tables("sensors", SENSORS_MAX)),
        power=_power(table.table("power"), kind),
        parts=tuple(_part(one) for one in table.tables("parts", PARTS_MAX)),
        sources=tuple(table.pairs("sources", 16, str)),
    )
    for one in (pins, watchdog, sleep, *([system] if system else []), table):
        one.done()
    check(table.file, found, sensor_kinds())
    return found


def _bus(table: Table, kind: str) -> Bus:
    name, bus = table.text("name"), table.text("kind", ROLES)
    pins = table.table("pins")
    found = {role: pins.integer(role, 0, 63) for role in ROLES[bus]}
    pins.done()
    identity: int | str = 0
    if bus == "uart" and kind == "pi":
        identity = table.text("id")
    elif bus in ("i2c", "uart"):
        identity = table.integer("id", 0, 15)
    low, high = {"i2c": (10_000, 400_000), "uart": (300, 921_600)}.get(bus, (0, 0))
    frequency = table.integer("frequency", low, high) if high else 0
    table.done()
    return Bus(name, bus, identity, found, frequency)


def _sensor(table: Table) -> Sensor:
    name, kind, bus = table.text("name"), table.text("kind", sensor_kinds()), table.text("bus")
    address = 0
    if sensor_kinds()[kind].bus == "i2c":
        address = table.integer("address", *I2C_ADDRESSES)
        known = sensor_kinds()[kind].addresses
        if known and address not in known:
            listed = ", ".join(f"{one:#04x}" for one in known)
            raise table.refuse("address", f" is {address:#04x}; a {kind} has one of {listed}")
    table.done()
    return Sensor(name, kind, bus, address)
