"""What an operator hands to an owner for a device: where the network is, what to pin, and the token to enrol with."""

import json
import re
import ssl
from base64 import b64decode, b64encode
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
_OPTIONAL = {
    "tls": "true or false",
    "ca": "a certificate, DER in base64",
    "made_s": "an integer from 0 to 2147483647",
}
LINE = "edgetally:"
_CA_BYTES_MAX = 4096
_CALENDAR = ("batch_beacons", "epoch_beacons", "deadline_beacons")
_MAXIMA = {"port": 65535, "beacon_interval_s": 3600}
_HEX_FIELDS = ("genesis", "root_key", "token_seed")


class ProvisioningError(ValueError):
    """A wrong provisioning file; the text names file, key and what is accepted."""


class Provisioning(NamedTuple):
    """`token_seed` is a secret: whoever has it can enrol devices for its owner. Without the calendar (0), which older
    files do not have, a device asks for no proofs. With `tls` it believes the broker only under `ca` (DER), or, where
    that is empty, as the operating system does. `made_s` is when this was made: no device's clock may be earlier."""

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
    tls: bool = False
    ca: bytes = b""
    made_s: int = 0

    @property
    def calendar(self) -> tuple[int, int, int]:
        return self.batch_beacons, self.epoch_beacons, self.deadline_beacons

    def to_json(self) -> str:
        fields = {name: value.hex() if isinstance(value, bytes) else value for name, value in self._asdict().items()}
        if self.tls:
            fields["ca"] = b64encode(self.ca).decode()
        else:
            del fields["tls"], fields["ca"]
        return json.dumps(fields, indent=2) + "\n"


def load_provisioning(path: Path) -> Provisioning:
    """As `parse_provisioning`, from a file. Raises ProvisioningError."""
    try:
        return parse_provisioning(path.read_text(), str(path))
    except FileNotFoundError:
        raise ProvisioningError(f"{path}: no such file; the operator makes one with: edgetally token new") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProvisioningError(f"{path}: {error}") from None


def parse_provisioning(text: str, path: str) -> Provisioning:
    """JSON, or the line that a token's QR code has; `path` says where it stands. Raises ProvisioningError."""
    try:
        fields: Any = token_uri.from_uri(text) if text.startswith(LINE) else json.loads(text)
    except ValueError as error:
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
    for name, accepted in _OPTIONAL.items():
        if name in fields and not _accepts(name, fields[name]):
            raise ProvisioningError(f"{path}: {name} is not accepted; it must be {accepted}")
    names = [name for name in (*_FIELDS, *_OPTIONAL) if name in fields and name not in without]
    return Provisioning(**{name: _value(name, fields[name]) for name in names})


def _value(name: str, value: Any) -> Any:
    if name == "ca":
        return b64decode(value)
    return bytes.fromhex(value) if name in _HEX_FIELDS else value


def _accepts(name: str, value: object) -> bool:
    if name in _HEX_FIELDS:
        return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
    if name == "tls":
        return isinstance(value, bool)
    if name == "ca":
        return _is_certificate(value)
    if name == "made_s":
        return type(value) is int and 0 <= value < 1 << 31
    if name == "network":
        return isinstance(value, str) and re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", value) is not None
    if name == "host":
        return isinstance(value, str) and 0 < len(value) < 256
    low = 0 if name in _CALENDAR else 1
    return type(value) is int and low <= value <= _MAXIMA.get(name, 1_000_000)


def _is_certificate(value: object) -> bool:
    """Empty, or DER that a TLS context takes."""
    try:
        der = b64decode(value, validate=True) if isinstance(value, str) else None
        if der:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ValueError, ssl.SSLError):
        return False
    return der is not None and len(der) <= _CA_BYTES_MAX
