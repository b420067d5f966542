"""What a network is: its name, its root key, its parameters and a salt. The hash of that is its identity."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from coordinator.kernel.parameters import ParameterError, Parameters
from coordinator.modules import DECLARED
from device_client.core import cbor, cose, light, verdicts

from . import wire
from .wire import Refused

SALT_BYTES = 16
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,31}$"


@dataclass(frozen=True)
class Genesis:
    name: str
    root_key: bytes
    parameters: Parameters
    salt: bytes

    def encoded(self) -> bytes:
        return cbor.encode([self.name, self.root_key, self.parameters.as_list(), self.salt])

    @cached_property
    def hash(self) -> bytes:
        return hashlib.sha256(self.encoded()).digest()


def new_genesis(name: str, root_key: bytes, values: Mapping[str, object], salt: bytes) -> Genesis:
    return Genesis(name, root_key, Parameters(DECLARED, values), salt)


def parse_genesis(data: bytes) -> Genesis:
    """Raises Refused MALFORMED, also for parameters that this version does not know."""
    fields = wire.decoded(data)
    if type(fields) is not list or len(fields) != 4:
        raise Refused(verdicts.MALFORMED, "genesis")
    name, root_key, listed, salt = fields
    if type(name) is not str or type(listed) is not list:
        raise Refused(verdicts.MALFORMED, "genesis")
    if any(type(value) is not bytes for value in (root_key, salt)) or (len(root_key), len(salt)) != (32, SALT_BYTES):
        raise Refused(verdicts.MALFORMED, "genesis keys")
    if any(type(row) is not list or len(row) != 2 or type(row[0]) is not str for row in listed):
        raise Refused(verdicts.MALFORMED, "genesis parameters")
    try:
        genesis = Genesis(name, root_key, Parameters(DECLARED, dict(listed)), salt)
    except ParameterError as error:
        raise Refused(verdicts.MALFORMED, str(error)) from error
    if genesis.encoded() != data:
        raise Refused(verdicts.MALFORMED, "genesis parameters are not complete and in order")
    return genesis


def parse_certificates(data: bytes, genesis: bytes, root_key: bytes) -> list[light.Certificate]:
    """The certificates of the `keys` file, each signed by the root. Raises Refused."""
    parts = wire.decoded(data)
    if type(parts) is not list or not 1 <= len(parts) <= light.CERTIFICATES_MAX:
        raise Refused(verdicts.MALFORMED, "certificates")
    found = []
    for part in parts:
        if type(part) is not bytes:
            raise Refused(verdicts.MALFORMED, "certificates")
        signed = wire.opened(part, cose.TYPE_OWNER, genesis, root_key)
        try:
            found.append(light.parse_certificate(signed.payload))
        except cbor.Malformed as error:
            raise Refused(verdicts.MALFORMED, str(error)) from error
    return found


def coordinator_key(certificates: list[light.Certificate], beacon: int) -> bytes:
    """The coordinator's key in force at a beacon: the highest serial that has begun by then. Raises Refused."""
    valid = [c for c in certificates if c.role == light.ROLE_COORDINATOR and c.from_beacon <= beacon]
    if not valid:
        raise Refused(verdicts.BAD_SIGNATURE, f"no coordinator key is certified for beacon {beacon}")
    return max(valid, key=lambda certificate: certificate.serial).public_key
