"""The auditor's look at one batch: what its header names, what its inputs give, and that no statement was left out.

The header comes first, for what it signs holds all else: its place in the chain, the hashes of the files. Then the
inputs are executed again, and every file and every field must come out as published. Last, each slot must hold the
statements that a beacon committed to. Of a batch that does not hold, diagnose.py says what is wrong in it.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from coordinator.kernel.parameters import Parameters
from coordinator.kernel.tables import Row
from coordinator.modules.accounts import in_force
from device_client.core import cose, merkle

from . import diagnose, wire
from .archive import Archive, Missing, Wrong, needed
from .audit_network import NetworkAudit
from .audit_readings import ReadingsAudit
from .beacons import BeaconChain, intake_root
from .decoding import Decoded, decoded
from .execute import Executed
from .genesis import coordinator_key
from .header import HEADER_FILE, RULES_VERSION, Header, parse_header, program_for
from .inputs import Inputs
from .packing import BadInput
from .seal import STATEMENTS_FILE, Position, Sealed, sealed
from .signatures import Signatures
from .state import NetworkState
from .wire import Refused


class Checked(NamedTuple):
    """A batch that holds, and the state before it."""

    header: Header
    header_id: bytes
    leaf: bytes  # hash of the header in the log
    inputs: Inputs
    refusals: list[Row]
    state: NetworkState
    parameters: Parameters  # in force in this batch
    beacons: BeaconChain
    executed: Executed


class BatchAudit:
    """Signatures of statements are checked from batch `first` on."""

    def __init__(
        self, archive: Archive, network: NetworkAudit, signatures: Signatures, readings: ReadingsAudit, first: int = 0
    ) -> None:
        self._archive = archive
        self._network = network
        self._signatures = signatures
        self._readings = readings
        self._first = first

    def check(self, number: int, previous: bytes, first_slot: int, state: NetworkState) -> Checked:
        """`previous` is the id of the header before it, `first_slot` the slot behind that (-1 where nothing tells),
        `state` that before the batch. Raises Wrong."""
        try:
            header, header_id, leaf = self.header(number, previous, first_slot)
            files = self.files(header)
            found = self._inputs(header, files, state)
            again = self._sealed(header, found, state)
            self._compare(header, files, again)
            self._intake_roots(header, found.inputs)
        except Missing:
            raise
        except Wrong as wrong:
            if wrong.field:
                raise
            raise diagnose.batch(self._case(number, previous, first_slot, state), wrong) from wrong
        parameters = self._parameters(header, state)
        beacons = self._network.beacons
        return Checked(
            header, header_id, leaf, found.inputs, found.refusals, state, parameters, beacons, again.executed
        )

    def header(self, number: int, previous: bytes, first_slot: int) -> tuple[Header, bytes, bytes]:
        """(header, its id, its leaf of the log) of the batch that follows. Raises Wrong."""
        name = f"batches/{number}/{HEADER_FILE}"
        data = needed(self._archive, name, number)
        genesis = self._network.genesis.hash
        try:
            payload = wire.envelope(data, cose.TYPE_HEADER, genesis).payload
            header = parse_header(payload)
            if header.rules_version != RULES_VERSION:
                # Before the signature: with other rules the header may have another shape.
                told = f"rules version {header.rules_version}; this program has {RULES_VERSION}: install "
                raise Wrong(number, name, told + program_for(header.rules_version), "rules_version")
            key = coordinator_key(self._network.certificates, header.last_slot + 1)
            signed = wire.opened(data, cose.TYPE_HEADER, genesis, key)
        except Refused as error:
            raise Wrong(number, name, str(error)) from error
        if what := self._misplaced(header, number, previous, first_slot):
            raise Wrong(number, name, what)
        return header, signed.id, merkle.leaf_hash(payload)

    def _misplaced(self, header: Header, number: int, previous: bytes, first_slot: int) -> str:
        beacons = self._network.beacons
        if (header.number, header.previous) != (number, previous):
            return "number or previous: it does not follow the batch before it"
        if first_slot < 0:  # the batch before it is not here: what it is bound to is its id
            first_slot = header.first_slot
        if header.first_slot != first_slot or header.last_slot < first_slot:
            return f"slots {header.first_slot} to {header.last_slot} do not follow slot {first_slot - 1}"
        if header.last_slot + 1 > beacons.newest:
            # The coordinator may be running: what was appended since the first look counts.
            self._network.read_beacons()
        if header.last_slot + 1 > beacons.newest:
            return f"it was sealed at beacon {header.last_slot + 1}, which is not published"
        if header.beacon != beacons.id_of(header.last_slot + 1):
            return "beacon: it names another one than was published"
        return ""

    def files(self, header: Header) -> dict[str, bytes]:
        """All files of a batch, which are those that its header lists. Raises Wrong."""
        number = header.number
        listed = {entry.name: entry for entry in header.files}
        present = set(self._archive.batch_files(number)) - {HEADER_FILE}
        for name in sorted(present - listed.keys()):
            raise Missing(number, f"batches/{number}/{name}", "the header does not know this file")
        files = {}
        for name, entry in listed.items():
            data = needed(self._archive, f"batches/{number}/{name}", number)
            if len(data) != entry.size or hashlib.sha256(data).digest() != entry.sha256:
                raise Wrong(number, f"batches/{number}/{name}", "does not have the hash that the header gives")
            files[name] = data
        return files

    def _inputs(self, header: Header, files: Mapping[str, bytes], state: NetworkState) -> Decoded:
        number = header.number
        found = self._decoded(header, files, state)
        identity = state.get("identity", {})
        if number >= self._first:
            try:
                self._signatures.check(found.envelopes, identity)
            except BadInput as error:
                raise Wrong(number, f"batches/{number}/{STATEMENTS_FILE}", str(error)) from error
        units = self._parameters(header, state).units("sensing_units")
        self._readings.check(number, found.rows, identity, units)
        return found

    def _decoded(self, header: Header, files: Mapping[str, bytes], state: NetworkState) -> Decoded:
        network = self._network
        accounts = state.get("accounts", {})
        return decoded(header, files, network.beacons, network.genesis.hash, network.certificates, accounts)

    def _sealed(self, header: Header, found: Decoded, state: NetworkState) -> Sealed:
        position = Position(header.number, header.previous, header.first_slot, header.last_slot)
        try:
            parameters = self._parameters(header, state)
            return sealed(position, found.inputs, found.refusals, state, parameters, self._network.beacons)
        except (AssertionError, KeyError, IndexError, OverflowError) as error:
            told = f"it cannot be executed: {str(error) or repr(error)}"
            raise Wrong(header.number, f"batches/{header.number}", told) from error

    def _parameters(self, header: Header, state: NetworkState) -> Parameters:
        return in_force(self._network.genesis.parameters, state.get("accounts", {}), header.first_slot)

    def _compare(self, header: Header, files: Mapping[str, bytes], again: Sealed) -> None:
        folder = f"batches/{header.number}"
        for name in sorted(again.files.keys() | files.keys()):
            if bytes(again.files.get(name, b"")) != files.get(name, b""):
                raise Wrong(header.number, f"{folder}/{name}", "is not what the inputs give")
        if again.header != header:
            fields = [name for name in header._fields if getattr(header, name) != getattr(again.header, name)]
            raise Wrong(header.number, f"{folder}/{HEADER_FILE}", f"{', '.join(fields)}: not what the inputs give")

    def _intake_roots(self, header: Header, inputs: Inputs) -> None:
        beacons = self._network.beacons
        ids: dict[int, list[bytes]] = {slot: [] for slot in range(header.first_slot, header.last_slot + 1)}
        columns = inputs.statements.columns
        for slot, statement_id in zip(columns["slot"].tolist(), columns["id"].tolist(), strict=True):
            ids[slot].append(statement_id)
        for slot, of_slot in ids.items():
            if slot + 2 > beacons.newest:
                continue
            if beacons.beacons[slot + 2].intake_root != intake_root(of_slot):
                what = f"slot {slot} does not hold the statements that beacon {slot + 2} committed to"
                raise Wrong(header.number, f"batches/{header.number}/{STATEMENTS_FILE}", what)

    def _case(self, number: int, previous: bytes, first_slot: int, state: NetworkState) -> diagnose.Case:
        def again(header: Header, files: Mapping[str, bytes]) -> Sealed:
            return self._sealed(header, self._decoded(header, files, state), state)

        network = self._network
        return diagnose.Case(
            self._archive,
            network.genesis,
            network.certificates,
            network.beacons,
            number,
            previous,
            first_slot,
            state,
            again,
        )
