"""Board profiles: `hardware/boards/<board>.toml`, checked, and compiled to what a device needs (`/board.json`).

A profile names the pins of a board, its buses, and every sensor that can be attached, with its wiring. A device gets
only what is enabled. Pins are GPIO numbers; those of a Raspberry Pi are Broadcom's ("BCM").
"""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .toml_table import ProfileError, Table

__all__ = ["Bus", "Chip", "Profile", "ProfileError", "Sensor", "compiled", "load_profile", "profiles"]

HARDWARE = Path(__file__).resolve().parent.parent / "hardware"
# The roles of a bus's pins; an input can be a pin that cannot drive.
ROLES = {
    "i2c": ("sda", "scl"),
    "uart": ("tx", "rx"),
    "onewire": ("data",),
    "adc": ("in",),
    "pulse": ("in",),
}
INPUT_ROLES = ("rx", "in")
SHARED = ("i2c", "onewire")  # buses that carry several sensors at a time
I2C_ADDRESSES = (0x08, 0x77)  # NXP UM10204, section 3.1.12: the others are reserved
BUSES_MAX = 12
SENSORS_MAX = 24


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


class SensorKind(NamedTuple):
    """`hardware/sensors.toml`: `wires` are (label on the sensor, power rail or role of the bus's pin)."""

    kind: str
    name: str
    bus: str
    addresses: tuple[int, ...]
    wires: tuple[tuple[str, str], ...]
    pull_up_ohm: int


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
    """`pins` holds those of led, led_also and button that the board has. `machine` is what `uname -m` must say on a
    Linux machine (64-bit), "" on an ESP32; `header` is [(label, position)] in the maker's order."""

    board: str
    name: str
    kind: str
    chip: Chip
    flash_mb: int
    pins: dict[str, int]
    led_kind: str
    led_active: int
    watchdog_s: int
    deep_sleep: bool
    os: str
    machine: str
    header: tuple[tuple[str, str], ...]
    buses: tuple[Bus, ...]
    sensors: tuple[Sensor, ...]

    @property
    def arch(self) -> str:
        return self.chip.arch


def profiles() -> list[str]:
    """Names of the boards that come with Edgetally."""
    return sorted(path.stem for path in (HARDWARE / "boards").glob("*.toml"))


def load_profile(board: str | Path) -> Profile:
    """The profile of a board that comes with Edgetally, by name, or of one's own, by the path of its file (`*.toml`).

    Raises ProfileError.
    """
    if isinstance(board, str) and not board.endswith(".toml"):
        if board not in profiles():
            raise ProfileError(f"{board}: no such board; known: {', '.join(profiles())}, or the path of a .toml file")
        return _shipped(board)
    return _profile(Path(board))


def compiled(profile: Profile, sensors: Iterable[str] = (), deep_sleep: bool | None = None) -> dict[str, Any]:
    """What a device needs to know of its board, as JSON: only enabled sensors, and only their buses.

    Without sensors a device reports its internal readings. Raises ProfileError for a sensor that the profile does not
    have and for what cannot be enabled together.
    """
    enabled = [_enabled(profile, name) for name in dict.fromkeys(sensors)]
    sleeps = profile.deep_sleep if deep_sleep is None else deep_sleep
    buses = {bus.name: bus for bus in profile.buses}
    users: dict[str, str] = {}
    for one in enabled:
        if buses[one.bus].kind not in SHARED and one.bus in users:
            raise ProfileError(
                f"{profile.board}: {one.name} and {users[one.bus]} both need the bus {one.bus}; enable one"
            )
        users[one.bus] = one.name
        if sleeps and one.kind == "pulse":
            raise ProfileError(f"{profile.board}: {one.name} cannot count in deep sleep; enable one of the two")
    if sleeps and profile.kind != "esp32":
        raise ProfileError(f"{profile.board}: a {profile.kind} has no deep sleep; leave it out")
    return {
        "board": profile.board,
        "kind": profile.kind,
        "chip": profile.chip.name,
        "pins": dict(profile.pins),
        "led_kind": profile.led_kind,
        "led_active": profile.led_active,
        "watchdog_s": profile.watchdog_s,
        "deep_sleep": sleeps,
        "buses": [bus._asdict() for bus in profile.buses if bus.name in users],
        "sensors": [one._asdict() for one in enabled],
    }


def _enabled(profile: Profile, name: str) -> Sensor:
    found = next((one for one in profile.sensors if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in profile.sensors) or "none"
        raise ProfileError(f"{profile.board}: no sensor {name}; this profile has: {known}")
    return found


# FILES


def read_toml(path: Path) -> Table:
    """Raises ProfileError."""
    try:
        return Table(path.name, "", tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{path.name}: {error}") from None


@cache
def _shipped(board: str) -> Profile:
    return _profile(HARDWARE / "boards" / f"{board}.toml")


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
        pins=frozenset(pin for low, high in table.pairs("pins", 8) for pin in range(low, high + 1)),
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
        tuple(table.pairs("wires", 8)),
        table.integer("pull_up_ohm", 0, 100_000, default=0),
    )
    table.done()
    return found


@cache
def _headers() -> dict[str, tuple[tuple[str, str], ...]]:
    file = read_toml(HARDWARE / "headers.toml")
    tables = {name: Table(file.file, name, values) for name, values in file.rest().items()}
    return {name: tuple(table.pairs("pins", 80)) for name, table in tables.items()}


def _profile(path: Path) -> Profile:
    from .profile_rules import check

    table = read_toml(path)
    board = table.text("board")
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", board) or board != path.stem:
        raise table.refuse("board", f" is {board!r}; it must be the name of the file, of a-z, 0-9 and -: {path.stem}")
    name, kind = table.text("name"), table.text("kind", ("esp32", "pi"))
    chip = chips()[table.text("chip", [one.name for one in chips().values() if one.kind == kind])]
    header = _headers()[table.text("header", _headers())]
    flash_mb = table.integer("flash_mb", 4, 64) if kind == "esp32" else 0
    pins = table.table("pins") if kind == "esp32" or table.has("pins") else Table(path.name, "pins", {})
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
        watchdog_s=watchdog.integer("timeout_s", 10, 600),
        deep_sleep=sleep.flag("deep"),
        os=system.text("name") if system else "",
        machine=system.text("machine", ("aarch64", "x86_64")) if system else "",
        header=header,
        buses=tuple(_bus(one, kind) for one in table.tables("buses", BUSES_MAX)),
        sensors=tuple(_sensor(one) for one in table.tables("sensors", SENSORS_MAX)),
    )
    for one in (pins, watchdog, sleep, *([system] if system else []), table):
        one.done()
    check(path.name, found)
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
