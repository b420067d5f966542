"""Board profiles: `hardware/boards/<board>.toml`, checked, and compiled to what a device needs (`/board.json`).

A profile names the pins of a board, its buses, and every sensor that can be attached, with its wiring. A device gets
only what is enabled. Pins are GPIO numbers; those of a Raspberry Pi are Broadcom's ("BCM").
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from struct import calcsize
from typing import Any

from .power import Power
from .profile_file import HARDWARE, read_profile
from .profile_shapes import Bus, Chip, Part, Profile, Sensor, SensorKind
from .toml_table import ProfileError

__all__ = [
    "Bus",
    "Chip",
    "Part",
    "Power",
    "Profile",
    "ProfileError",
    "Sensor",
    "SensorKind",
    "check_system",
    "compiled",
    "load_profile",
    "profiles",
]

SHARED = ("i2c", "onewire")  # buses that carry several sensors at a time


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
    return read_profile(Path(board))


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


def check_system(profile: Profile, bits: int = 8 * calcsize("P")) -> None:
    """Raises ProfileError where this Python is narrower than the profile wants.

    The kernel is not asked: Raspberry Pi OS of 32 bits has one of 64, and `uname -m` says aarch64.
    """
    if bits < profile.bits:
        raise ProfileError(f"{profile.board}: this system has {bits} bits; install {profile.os} and start anew")


def _enabled(profile: Profile, name: str) -> Sensor:
    found = next((one for one in profile.sensors if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in profile.sensors) or "none"
        raise ProfileError(f"{profile.board}: no sensor {name}; this profile has: {known}")
    return found


@cache
def _shipped(board: str) -> Profile:
    return read_profile(HARDWARE / "boards" / f"{board}.toml")
