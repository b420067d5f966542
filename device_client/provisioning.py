"""What an operator hands to an owner for a device: where the network is, what to pin, and the token to enrol with."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from . import token_uri

_FIELDS = {
    "network": "a network name",
    "genesis": "64 hex digits",
    "root_key": "64 hex digits",
    "token_seed": "64 hex digits",
    "host": "a host name or address",
    "port": "an integer from 1 to 65535",
    "beacon_interval_s": "an integer from 1 to 3600",
    "batch_beacons": "an integer from 0 to 1000000",
    "epoch_beacons": "an integer from 0 to 1000000",
    "deadline_beacons": "an integer from 0 to 1000000",
}
_CALENDAR = ("batch_beacons", "epoch_beacons", "deadline_beacons")
_MAXIMA = {"port": 65535, "beacon_interval_s": 3600}
_HEX_FIELDS = ("genesis", "root_key", "token_seed")


class ProvisioningError(ValueError):
    """A wrong provisioning file; the text names file, key and what is accepted."""


class Provisioning(NamedTuple):
    """`token_seed` is a secret: whoever has it can enrol devices for its owner. Without the last three (0), which older
    files do not have, a device asks for no proofs."""

    network: str
    genesis: bytes
    root_key: bytes
    token_seed: bytes
    host: str
    port: int
    beacon_interval_s: int
    batch_beacons: int = 0
    epoch_beacons: int = 0
    deadline_beacons: int = 0

    @property
    def calendar(self) -> tuple[int, int, int]:
        return self.batch_beacons, self.epoch_beacons, self.deadline_beacons

    def to_json(self) -> str:
        fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in self._asdict().items()}
        return json.dumps(fields, indent=2) + "\n"


def load_provisioning(path: Path) -> Provisioning:
    """The file holds JSON, or the line that a token's QR code has. Raises ProvisioningError."""
    try:
        text = path.read_text()
        fields: Any = token_uri.from_uri(text) if text.startswith("edgetally:") else json.loads(text)
    except FileNotFoundError:
        raise ProvisioningError(f"{path}: no such file; the operator makes one with: edgetally token new") from None
    except (OSError, ValueError) as error:
        raise ProvisioningError(f"{path}: {error}") from None
    if not isinstance(fields, dict):
        raise ProvisioningError(f"{path}: not a JSON object")
    without = set() if any(name in fields for name in _CALENDAR) else set(_CALENDAR)
    for name, accepted in _FIELDS.items():
        if name in without:
            continue
        if name not in fields:
            raise ProvisioningError(f"{path}: {name} is missing; it must be {accepted}")
        if not _accepts(name, fields[name]):
            raise ProvisioningError(f"{path}: {name} is not accepted; it must be {accepted}")
    names = [name for name in _FIELDS if name not in without]
    values: list[Any] = [bytes.fromhex(fields[name]) if name in _HEX_FIELDS else fields[name] for name in names]
    return Provisioning(*values)


def _accepts(name: str, value: object) -> bool:
    if name in _HEX_FIELDS:
        return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
    if name == "network":
        return isinstance(value, str) and re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", value) is not None
    if name == "host":
        return isinstance(value, str) and 0 < len(value) < 256
    low = 0 if name in _CALENDAR else 1
    return type(value) is int and low <= value <= _MAXIMA.get(name, 1_000_000)
