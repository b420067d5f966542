"""What an operator hands to an owner for a device: where the network is, what to pin, and the token to enrol with."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

_FIELDS = {
    "network": "a network name",
    "genesis": "64 hex digits",
    "root_key": "64 hex digits",
    "token_seed": "64 hex digits",
    "host": "a host name or address",
    "port": "an integer from 1 to 65535",
    "beacon_interval_s": "an integer from 1 to 3600",
}
_HEX_FIELDS = ("genesis", "root_key", "token_seed")


class ProvisioningError(ValueError):
    """A wrong provisioning file; the text names file, key and what is accepted."""


class Provisioning(NamedTuple):
    """`token_seed` is a secret: whoever has it can enrol devices for its owner."""

    network: str
    genesis: bytes
    root_key: bytes
    token_seed: bytes
    host: str
    port: int
    beacon_interval_s: int

    def to_json(self) -> str:
        fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in self._asdict().items()}
        return json.dumps(fields, indent=2) + "\n"


def load_provisioning(path: Path) -> Provisioning:
    """Raises ProvisioningError."""
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        raise ProvisioningError(f"{path}: no such file; the operator makes one with: edgetally token new") from None
    except (OSError, ValueError) as error:
        raise ProvisioningError(f"{path}: {error}") from None
    if not isinstance(fields, dict):
        raise ProvisioningError(f"{path}: not a JSON object")
    for name, accepted in _FIELDS.items():
        if name not in fields:
            raise ProvisioningError(f"{path}: {name} is missing; it must be {accepted}")
        if not _accepts(name, fields[name]):
            raise ProvisioningError(f"{path}: {name} is not accepted; it must be {accepted}")
    values: list[Any] = [bytes.fromhex(fields[name]) if name in _HEX_FIELDS else fields[name] for name in _FIELDS]
    return Provisioning(*values)


def _accepts(name: str, value: object) -> bool:
    if name in _HEX_FIELDS:
        return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
    if name == "network":
        return isinstance(value, str) and re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", value) is not None
    if name == "host":
        return isinstance(value, str) and 0 < len(value) < 256
    limit = 65535 if name == "port" else 3600
    return type(value) is int and 1 <= value <= limit
