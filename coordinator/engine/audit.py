"""verify: a stranger re-executes everything from what is published, and names the first thing that is wrong.

Two levels. *Money*: every signature, every batch from its inputs to its payouts, the header chain, the log root that
the beacons carry, the tiles and the checkpoint of that log, and that each slot's statements are exactly those that a
beacon committed to. *Measurement*: also the
readings, against the commitments in the signed reports and the codes that sensing gave them, for all that are there.
"""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from coordinator.kernel.tables import Row
from coordinator.modules import sensing
from coordinator.modules.accounts import in_force
from device_client.core import cose, light, merkle

from . import wire
from .archive import BEACONS_FILE, GENESIS_FILE, KEYS_FILE, RESTARTS_FILE, Archive, Wrong
from .audit_log import LogAudit
from .audit_readings import ReadingsAudit
from .beacons import BeaconChain, intake_root, unframed
from .genesis import Genesis, coordinator_key, parse_certificates, parse_genesis
from .header import HEADER_FILE, RULES_VERSION, Header, parse_header
from .inputs import (
    REFUSALS,
    BadInput,
    Inputs,
    read_owner_messages,
    read_statements,
    sorted_refusals,
    unpack_owner_messages,
    unpack_statements,
)
from .owner_wire import Keys
from .restarts import Restart, check_restarts, unpack_restarts
from .seal import MEASURED_FILE, OWNER_FILE, REFUSALS_FILE, STATEMENTS_FILE, Position, sealed
from .state import MemoryState, NetworkState
from .wire import Refused

NO_HEADER = bytes(32)


class Report(NamedTuple):
    """What was verified. `state` is the network after the last batch; spacing is in seconds, 0 where unknown."""

    genesis: Genesis
    batches: int
    statements: int
    beacons: int
    reports: int
    measured: int
    beacon_spacing_s: float
    device_spacing_s: float
    epochs: list[Row]
    state: NetworkState
    restarts: list[Restart]

    @property
    def level(self) -> str:
        return "measurement" if self.measured == self.reports else "money"


class Auditor:
    """One pass over an archive. `progress(done, total)` is called after each batch."""

    def __init__(self, archive: Archive, progress: Callable[[int, int], None] | None = None) -> None:
        self._archive = archive
        self._progress = progress or (lambda done, total: None)
        self._frontier = merkle.Frontier()
        self._device_spacing: list[float] = []
        self._last: dict[bytes, tuple[int, int, int]] = {}  # device -> boot, quoted, uptime
        self._roots: list[bytes] = []  # of the log, by size
        self._waiting: dict[int, list[light.Beacon]] = {}  # beacons that name a size not reached yet
        self._statements = 0
        self._epochs: list[Row] = []

    def run(self, expected_genesis: bytes | None = None) -> Report:
        """Verify everything. Raises Wrong."""
        genesis = self._genesis(expected_genesis)
        self._keys(genesis)
        self._beacons = BeaconChain(genesis.hash, self._certificates)
        self._read_beacons()
        restarts = self._restarts(genesis)
        self._log = LogAudit(self._archive)
        self._readings = ReadingsAudit(self._archive, genesis.parameters.units("sensing_units"))
        numbers = self._archive.batches()
        state = MemoryState()
        previous, next_slot = NO_HEADER, 0
        for index in range(len(numbers)):
            if numbers[index] != index:
                raise Wrong(index, f"batches/{index}", "this batch is missing")
            self._log_root()
            header, header_id = self._batch(genesis, index, previous, next_slot, state)
            previous, next_slot = header_id, header.last_slot + 1
            self._progress(index + 1, len(numbers))
        self._log_root()
        named = max(self._waiting, default=0)
        if named > len(numbers):
            raise Wrong(
                len(numbers), f"batches/{len(numbers)}", f"this batch is missing; a beacon names {named} batches"
            )
        incarnations = [1, *(one.incarnation for one in restarts)]
        self._log.check(genesis, incarnations, self._certificates, self._roots)
        times = [beacon.time for beacon in self._beacons.beacons]
        spacing = [after - before for before, after in pairwise(times)]
        return Report(
            genesis,
            len(numbers),
            self._statements,
            len(times),
            self._readings.reports,
            self._readings.measured,
            float(median(spacing)) if spacing else 0.0,
            float(median(self._device_spacing)) if self._device_spacing else 0.0,
            self._epochs,
            state,
            restarts,
        )

    def _genesis(self, expected: bytes | None) -> Genesis:
        data = self._need(-1, GENESIS_FILE)
        found = hashlib.sha256(data).digest()
        if expected is not None and found != expected:
            raise Wrong(-1, GENESIS_FILE, f"its hash is {found.hex()}, not {expected.hex()}")
        try:
            return parse_genesis(data)
        except Refused as error:
            raise Wrong(-1, GENESIS_FILE, str(error)) from error

    def _keys(self, genesis: Genesis) -> None:
        try:
            self._certificates = parse_certificates(self._need(-1, KEYS_FILE), genesis.hash, genesis.root_key)
        except Refused as error:
            raise Wrong(-1, KEYS_FILE, str(error)) from error

    def _read_beacons(self) -> None:
        """Take what beacons.log holds beyond what was read of it; the roots that it names are checked as they come."""
        data = self._need(-1, BEACONS_FILE)
        known = self._beacons.newest + 1
        try:
            envelopes, end = unframed(data)
            if envelopes[:known] != self._beacons.envelopes:
                raise Wrong(-1, BEACONS_FILE, "it changed while it was read")
            for envelope in envelopes[known:]:
                self._take_root(self._beacons.append(envelope))
        except Refused as error:
            raise Wrong(-1, BEACONS_FILE, f"beacon {self._beacons.newest + 1}: {error}") from error
        if end != len(data):
            raise Wrong(-1, BEACONS_FILE, f"truncated behind beacon {self._beacons.newest}")

    def _restarts(self, genesis: Genesis) -> list[Restart]:
        try:
            restarts = unpack_restarts(self._archive.read(RESTARTS_FILE) or b"")
            check_restarts(restarts, self._beacons, genesis.hash, self._certificates)
        except Refused as error:
            raise Wrong(-1, RESTARTS_FILE, str(error)) from error
        return restarts

    def _take_root(self, beacon: light.Beacon) -> None:
        if beacon.log_size < len(self._roots):
            self._compare_root(beacon)
        else:
            self._waiting.setdefault(beacon.log_size, []).append(beacon)

    def _log_root(self) -> None:
        """Every beacon that speaks of a log of this size must know its root."""
        self._roots.append(self._frontier.root())
        for beacon in self._waiting.pop(self._frontier.size, []):
            self._compare_root(beacon)

    def _compare_root(self, beacon: light.Beacon) -> None:
        size = beacon.log_size
        if beacon.log_root != self._roots[size]:
            raise Wrong(size - 1, BEACONS_FILE, f"beacon {beacon.number} names another log root of {size} batches")

    def _batch(
        self, genesis: Genesis, number: int, previous: bytes, first_slot: int, state: MemoryState
    ) -> tuple[Header, bytes]:
        folder = f"batches/{number}"
        header, header_id, payload = self._header(genesis, number, previous, first_slot)
        files = self._files(number, header)
        inputs, refusals = self._inputs(genesis, number, header, files, state)
        position = Position(number, previous, header.first_slot, header.last_slot)
        try:
            parameters = in_force(genesis.parameters, state.get("accounts", {}), header.first_slot)
            again = sealed(position, inputs, refusals, state, parameters, self._beacons)
        except (AssertionError, KeyError, IndexError, OverflowError) as error:
            raise Wrong(number, folder, f"it cannot be executed: {error!r}") from error
        for name in sorted(again.files.keys() | files.keys()):
            if again.files.get(name) != files.get(name):
                raise Wrong(number, f"{folder}/{name}", "is not what the inputs give")
        if again.header != header:
            fields = [name for name in header._fields if getattr(header, name) != getattr(again.header, name)]
            raise Wrong(number, f"{folder}/{HEADER_FILE}", f"{', '.join(fields)}: not what the inputs give")
        self._intake_roots(number, header, inputs)
        self._uptimes(inputs)
        self._statements += len(inputs.rows)
        self._epochs += again.executed.effects["rewards"].records["epochs"]
        self._frontier.append(payload)
        self._log.take(payload)
        state.advance(number, {name: effects.delta for name, effects in again.executed.effects.items()}, {})
        return header, header_id

    def _header(self, genesis: Genesis, number: int, previous: bytes, first_slot: int) -> tuple[Header, bytes, bytes]:
        name = f"batches/{number}/{HEADER_FILE}"
        data = self._need(number, name)
        try:
            payload = wire.envelope(data, cose.TYPE_HEADER, genesis.hash).payload
            header = parse_header(payload)
            key = coordinator_key(self._certificates, header.last_slot + 1)
            signed = wire.opened(data, cose.TYPE_HEADER, genesis.hash, key)
        except Refused as error:
            raise Wrong(number, name, str(error)) from error
        if what := self._misplaced(header, number, previous, first_slot):
            raise Wrong(number, name, what)
        return header, signed.id, payload

    def _misplaced(self, header: Header, number: int, previous: bytes, first_slot: int) -> str:
        if header.rules_version != RULES_VERSION:
            return f"rules version {header.rules_version}; this program has {RULES_VERSION}: install the one that fits"
        if (header.number, header.previous) != (number, previous):
            return "number or previous: it does not follow the batch before it"
        if header.first_slot != first_slot or header.last_slot < first_slot:
            return f"slots {header.first_slot} to {header.last_slot} do not follow slot {first_slot - 1}"
        if header.last_slot + 1 > self._beacons.newest:
            # The coordinator may be running: what was appended since the first look counts.
            self._read_beacons()
        if header.last_slot + 1 > self._beacons.newest:
            return f"it was sealed at beacon {header.last_slot + 1}, which is not published"
        if header.beacon != self._beacons.id_of(header.last_slot + 1):
            return "beacon: it names another one than was published"
        return ""

    def _files(self, number: int, header: Header) -> dict[str, bytes]:
        listed = {entry.name: entry for entry in header.files}
        present = set(self._archive.batch_files(number)) - {HEADER_FILE}
        for name in sorted(present - listed.keys()):
            raise Wrong(number, f"batches/{number}/{name}", "the header does not know this file")
        files = {}
        for name, entry in listed.items():
            data = self._need(number, f"batches/{number}/{name}")
            if len(data) != entry.size or hashlib.sha256(data).digest() != entry.sha256:
                raise Wrong(number, f"batches/{number}/{name}", "does not have the hash that the header gives")
            files[name] = data
        return files

    def _inputs(
        self, genesis: Genesis, number: int, header: Header, files: dict[str, bytes], state: NetworkState
    ) -> tuple[Inputs, list[Row]]:
        identity = state.get("identity", {})
        file = STATEMENTS_FILE
        try:
            held = unpack_statements(files.get(STATEMENTS_FILE, b""))
            rows, envelopes = read_statements(held, identity, self._beacons, genesis.hash, verify=True)
            if len({row.id for row in rows}) != len(rows):
                raise BadInput("a statement stands in it twice")
            for row in rows:
                if not header.first_slot <= row.slot <= header.last_slot:
                    raise BadInput(f"statement {row.id.hex()} is of slot {row.slot}")
            file = OWNER_FILE
            keys = Keys(coordinator_key(self._certificates, header.last_slot + 1), state.get("accounts", {}))
            messages = unpack_owner_messages(files.get(OWNER_FILE, b""))
            owner_rows, owner_envelopes = read_owner_messages(messages, genesis.hash, keys)
            file = MEASURED_FILE
            codes = files.get(MEASURED_FILE, b"")
            if len(codes) != len(rows) or any(code not in sensing.MEASURED_NAMES for code in codes):
                raise BadInput("not one known code a statement")
            file = REFUSALS_FILE
            refusals = REFUSALS.unpack(files.get(REFUSALS_FILE, b""))
            if refusals != sorted_refusals(refusals):
                raise BadInput("not in order")
        except (BadInput, ValueError, Refused) as error:
            raise Wrong(number, f"batches/{number}/{file}", str(error)) from error
        rows = [row._replace(measured=code) for row, code in zip(rows, codes, strict=True)]
        inputs = Inputs(rows, envelopes, owner_rows, owner_envelopes)
        self._readings.check(number, inputs, identity)
        return inputs, refusals

    def _intake_roots(self, number: int, header: Header, inputs: Inputs) -> None:
        ids: dict[int, list[bytes]] = {slot: [] for slot in range(header.first_slot, header.last_slot + 1)}
        for row in inputs.rows:
            ids[row.slot].append(row.id)
        for slot, of_slot in ids.items():
            if slot + 2 > self._beacons.newest:
                continue
            if self._beacons.beacons[slot + 2].intake_root != intake_root(of_slot):
                what = f"slot {slot} does not hold the statements that beacon {slot + 2} committed to"
                raise Wrong(number, f"batches/{number}/{STATEMENTS_FILE}", what)

    def _uptimes(self, inputs: Inputs) -> None:
        for row in inputs.rows:
            boot, quoted, uptime_s = self._last.get(row.device, (0, 0, 0))
            if boot == row.boot and row.quoted > quoted and len(self._device_spacing) < 1_000_000:
                self._device_spacing.append((row.uptime_s - uptime_s) / (row.quoted - quoted))
            self._last[row.device] = (row.boot, row.quoted, row.uptime_s)

    def _need(self, batch: int, name: str) -> bytes:
        data = self._archive.read(name)
        if data is None:
            raise Wrong(batch, name, "is missing")
        return data
