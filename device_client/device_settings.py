"""`device.toml` in the state folder: what the owner of this machine chose with `edgetally device setup`.

It stands beside `provisioning.json`, which the operator made and which holds a secret.
"""

import json
import tomllib
from pathlib import Path
from typing import NamedTuple

from . import places
from .durable import replace_durably

FILE = "device.toml"
PROVISIONING = "provisioning.json"
INTERVAL_S_MAX = 86_400
_ACCEPTED = {
    "interval_s": f"an integer from 1 to {INTERVAL_S_MAX}",
    "private": "true or false",
    "page": 'the address of the network\'s page, "" if it has none',
    "board": 'a board of `edgetally device setup --help`, "" for this machine\'s own readings only',
    "sensors": "a list of names",
    "place": f'a coarse cell, or "" for none: {places.ACCEPTED}',
}


class DeviceSettingsError(ValueError):
    """A wrong setting; the text names file, key and what is accepted."""


class DeviceSettings(NamedTuple):
    """`interval_s` is declared at enrolment, and so is `place` (places.py); `private` readings are never published;
    `sensors` are those of `board`."""

    interval_s: int = 60
    private: bool = False
    page: str = ""
    board: str = ""
    sensors: tuple[str, ...] = ()
    place: str = ""

    @property
    def cell(self) -> int:
        """The place as an enrolment tells it, 0 for none."""
        return places.parsed(self.place) if self.place else 0

    def to_toml(self) -> str:
        fields = self._asdict() | {"sensors": list(self.sensors)}
        # JSON's texts, numbers, booleans and lists of texts are TOML's, too.
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


def save_settings(folder: Path, settings: DeviceSettings) -> None:
    """Raises OSError."""
    replace_durably(folder / FILE, settings.to_toml().encode())


def load_settings(folder: Path) -> DeviceSettings:
    """Raises DeviceSettingsError."""
    path = folder / FILE
    try:
        fields = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise DeviceSettingsError(f"{path}: no such file; run: edgetally device setup --state {folder}") from None
    except (OSError, ValueError) as error:
        raise DeviceSettingsError(f"{path}: {error}") from None
    for name, value in fields.items():
        if name not in _ACCEPTED:
            raise DeviceSettingsError(f"{path}: {name} is unknown; known are {', '.join(_ACCEPTED)}")
        if not _accepts(name, value):
            raise DeviceSettingsError(f"{path}: {name} is not accepted; it must be {_ACCEPTED[name]}")
    if "sensors" in fields:
        fields["sensors"] = tuple(fields["sensors"])
    return DeviceSettings(**fields)


def _accepts(name: str, value: object) -> bool:
    if name == "interval_s":
        return type(value) is int and 1 <= value <= INTERVAL_S_MAX
    if name == "private":
        return type(value) is bool
    if name == "sensors":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name == "place" and isinstance(value, str) and value:
        return _is_place(value)
    return isinstance(value, str)


def _is_place(text: str) -> bool:
    try:
        places.parsed(text)
    except ValueError:
        return False
    return True
