"""The auditor's look at what is published beside the batches: genesis, keys, beacons and restarts.

It comes first: it says whose network this is, who may sign for it and when. A coordinator may go on while it is
audited: beacons are read again when a batch names one that was not there, and those before must be the same.
"""

import hashlib

from device_client.core import light

from . import diagnose_folder
from .archive import BEACONS_FILE, GENESIS_FILE, KEYS_FILE, RESTARTS_FILE, Archive, Wrong, needed
from .audit_roots import RootsAudit
from .beacons import BeaconChain, unframed
from .genesis import Genesis, parse_certificates, parse_genesis
from .log import origin_of
from .repair import Fault, attempted
from .restarts import Restart, check_restarts, unpack_restarts
from .wire import Refused


class NetworkAudit:
    """All of it is read when this is made, and raises Wrong then; the roots that beacons name go to `roots`."""

    def __init__(self, archive: Archive, roots: RootsAudit, expected_genesis: bytes | None = None) -> None:
        """`expected_genesis` is the hash that the genesis must have."""
        self._archive = archive
        self._roots = roots
        self.genesis = self._read_genesis(expected_genesis)
        self.certificates = self._read_keys(expected_genesis is None)
        self.beacons = BeaconChain(self.genesis.hash, self.certificates)
        self.read_beacons()
        self.restarts = self._read_restarts()

    @property
    def incarnations(self) -> list[int]:
        return [1, *(one.incarnation for one in self.restarts)]

    @property
    def origins(self) -> set[str]:
        """The names of the log, one an incarnation."""
        return {origin_of(self.genesis.name, self.genesis.hash, one) for one in self.incarnations}

    @property
    def coordinator_keys(self) -> list[bytes]:
        """All that were ever certified."""
        return [one.public_key for one in self.certificates if one.role == light.ROLE_COORDINATOR]

    def read_beacons(self) -> None:
        """Take what beacons.log holds beyond what was read of it. Raises Wrong."""
        data = needed(self._archive, BEACONS_FILE)
        known = self.beacons.newest + 1
        try:
            envelopes, end = unframed(data)
            if envelopes[:known] != self.beacons.envelopes:
                raise Wrong(-1, BEACONS_FILE, "it changed while it was read")
            for envelope in envelopes[known:]:
                self._roots.take(self.beacons.append(envelope))
        except Refused as error:
            fault = attempted(diagnose_folder.beacon, self._archive, self.beacons, self.genesis, self.certificates)
            raise _named(BEACONS_FILE, f"beacon {self.beacons.newest + 1}: {error}", fault) from error
        if end != len(data):
            raise Wrong(-1, BEACONS_FILE, f"truncated behind beacon {self.beacons.newest}")

    def _read_genesis(self, expected: bytes | None) -> Genesis:
        data = needed(self._archive, GENESIS_FILE)
        found = hashlib.sha256(data).digest()
        if expected is not None and found != expected:
            fault = attempted(diagnose_folder.genesis, self._archive, data, expected)
            raise Wrong(-1, GENESIS_FILE, f"its hash is {found.hex()}, not {expected.hex()}", fault and fault.field)
        try:
            return parse_genesis(data)
        except Refused as error:
            raise Wrong(-1, GENESIS_FILE, str(error)) from error

    def _read_keys(self, may_be_another: bool) -> list[light.Certificate]:
        data = needed(self._archive, KEYS_FILE)
        try:
            return parse_certificates(data, self.genesis.hash, self.genesis.root_key)
        except Refused as error:
            encoded = self.genesis.encoded()
            if may_be_another and (fault := attempted(diagnose_folder.genesis, self._archive, encoded, None)):
                raise Wrong(-1, GENESIS_FILE, fault.what, fault.field) from error
            fault = attempted(diagnose_folder.keys, self._archive, data, self.genesis)
            raise _named(KEYS_FILE, str(error), fault) from error

    def _read_restarts(self) -> list[Restart]:
        data = self._archive.read(RESTARTS_FILE) or b""
        try:
            restarts = unpack_restarts(data)
            check_restarts(restarts, self.beacons, self.genesis.hash, self.certificates)
        except Refused as error:
            fault = attempted(diagnose_folder.restarts, data, error, self.beacons)
            raise _named(RESTARTS_FILE, str(error), fault) from error
        return restarts


def _named(file: str, what: str, fault: Fault | None) -> Wrong:
    return Wrong(-1, file, fault.what, fault.field) if fault else Wrong(-1, file, what)
