"""Execute again what a folder holds, from genesis or from a snapshot, to get at the state and the findings.

Each file is held against the header that the coordinator signed, and what comes out against the state changes that the
header names; signatures of devices are left to `verify`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from coordinator.kernel.module import Effects
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.statements import StatementRow
from coordinator.kernel.tables import TableState
from coordinator.modules.accounts import in_force
from device_client.core import cose, light

from . import wire
from .archive import Archive, Wrong, needed
from .beacons import BeaconChain
from .decoding import decoded
from .genesis import Genesis, coordinator_key
from .header import HEADER_FILE, NO_HEADER, RULES_VERSION, Header, parse_header
from .seal import Position, sealed
from .snapshots import MANIFEST_FILE, BadSnapshot, check_manifest, folder_of, snapshot_state
from .state import MemoryState
from .wire import Refused


class Reexecuted(NamedTuple):
    """One batch; `identity` is that module's state before it, until the next one is asked for."""

    header: Header
    rows: Sequence[StatementRow]
    identity: TableState
    effects: Mapping[str, Effects]
    parameters: Parameters  # in force in it


class Source(NamedTuple):
    """A folder, and what is known of its network."""

    archive: Archive
    genesis: Genesis
    certificates: list[light.Certificate]
    beacons: BeaconChain

    def header(self, number: int) -> tuple[Header, bytes]:
        """(header, its id) of a batch. Raises Wrong."""
        name = f"batches/{number}/{HEADER_FILE}"
        try:
            data = needed(self.archive, name, number)
            header = parse_header(wire.envelope(data, cose.TYPE_HEADER, self.genesis.hash).payload)
            signed = wire.opened(data, cose.TYPE_HEADER, self.genesis.hash, self._key(header))
        except Refused as error:
            raise Wrong(number, name, str(error)) from error
        if header.number != number or header.rules_version != RULES_VERSION:
            raise Wrong(number, name, f"is of batch {header.number} and rules {header.rules_version}")
        return header, signed.id

    def files(self, header: Header) -> dict[str, bytes]:
        """All files of its batch. Raises Wrong."""
        found = {}
        for entry in header.files:
            name = f"batches/{header.number}/{entry.name}"
            found[entry.name] = needed(self.archive, name, header.number)
            if hashlib.sha256(found[entry.name]).digest() != entry.sha256:
                raise Wrong(header.number, name, "does not have the hash that the header gives")
        return found

    def snapshot(self, number: int) -> MemoryState:
        """The state after a batch, on the word of the coordinator. Raises Wrong."""
        folder = folder_of(number)
        header, header_id = self.header(number)
        try:
            data = needed(self.archive, f"{folder}/{MANIFEST_FILE}", number)
            manifest = check_manifest(data, self.genesis.hash, self._key(header))
        except Refused as error:
            raise Wrong(number, f"{folder}/{MANIFEST_FILE}", str(error)) from error
        if (manifest.number, manifest.header) != (number, header_id):
            raise Wrong(number, f"{folder}/{MANIFEST_FILE}", "is of another batch")
        try:
            return snapshot_state(manifest, lambda name: self.archive.read(f"{folder}/{name}"))
        except BadSnapshot as error:
            raise Wrong(number, folder, str(error)) from error

    def _key(self, header: Header) -> bytes:
        return coordinator_key(self.certificates, header.last_slot + 1)


class Reexecution:
    """`state` is that after the last batch that was given out and left behind; `start` is the first batch."""

    def __init__(self, source: Source, start: int = 0) -> None:
        """From genesis, or from the snapshot of batch `start` - 1. Raises Wrong."""
        self._source = source
        self._start = start
        self.state = source.snapshot(start - 1) if start else MemoryState()

    def batches(self, end: int) -> Iterator[Reexecuted]:
        """Up to before `end`; the state goes on behind each. Raises Wrong."""
        source, state = self._source, self.state
        previous, first_slot = NO_HEADER, 0
        if self._start:
            header, previous = source.header(self._start - 1)
            first_slot = header.last_slot + 1
        for number in range(self._start, end):
            header, header_id = source.header(number)
            if (header.previous, header.first_slot) != (previous, first_slot):
                raise Wrong(number, f"batches/{number}/{HEADER_FILE}", "does not follow the batch before it")
            files = source.files(header)
            identity = state.get("identity", {})
            accounts = state.get("accounts", {})
            found = decoded(header, files, source.beacons, source.genesis.hash, source.certificates, accounts)
            parameters = in_force(source.genesis.parameters, accounts, first_slot)
            position = Position(number, previous, first_slot, header.last_slot)
            try:
                again = sealed(position, found.inputs, found.refusals, state, parameters, source.beacons)
            except (AssertionError, KeyError, IndexError, OverflowError) as error:
                raise Wrong(number, f"batches/{number}", f"it cannot be executed: {error!r}") from error
            if again.header != header:
                raise Wrong(number, f"batches/{number}", "executed again it is another batch")
            yield Reexecuted(header, found.rows, identity, again.executed.effects, parameters)
            state.advance(number, {name: effects.delta for name, effects in again.executed.effects.items()}, {})
            previous, first_slot = header_id, header.last_slot + 1
