"""verify: a stranger re-executes everything from what is published, and names the first thing that is wrong.

Two levels. *Money*: every signature, every batch from its inputs to its payouts, the header chain, the log root that
the beacons carry, the tiles and the checkpoint of that log, and that each slot's statements are exactly those that a
beacon committed to. *Measurement*: also the readings, against the commitments in the signed reports and the codes that
sensing gave them, for all that are there.

Checking statement signatures is nearly all of the work: an engine shares it out, a sample takes some of them, and
`first` leaves them out before a batch. All else is done for every batch.
"""

import hashlib
from collections.abc import Callable, Mapping
from itertools import count, pairwise
from statistics import median
from typing import NamedTuple

from coordinator.kernel.parameters import Parameters
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.kernel.tables import Row, rows_in
from coordinator.modules import sensing
from coordinator.modules.accounts import in_force
from device_client.core import cose, light, merkle

from . import diagnose, diagnose_folder, wire
from .archive import BEACONS_FILE, GENESIS_FILE, KEYS_FILE, RESTARTS_FILE, Archive, Missing, Wrong
from .audit_log import LogAudit
from .audit_readings import ReadingsAudit
from .audit_snapshots import SnapshotAudit
from .audit_start import Start, check_log, leaves_of_tiles, start_before
from .beacons import BeaconChain, intake_root, unframed
from .engines import Engine
from .execute import Executed
from .genesis import Genesis, coordinator_key, parse_certificates, parse_genesis
from .header import HEADER_FILE, RULES_VERSION, Header, parse_header, program_for
from .inputs import Inputs, read_owner_messages, read_statements
from .log import BadNote, opened_checkpoint, origin_of
from .owner_wire import Keys
from .packing import REFUSALS, BadInput, pack_statements, sorted_refusals, unpack_owner_messages, unpack_statements
from .repair import Fault, attempted
from .restarts import Restart, check_restarts, unpack_restarts
from .seal import MEASURED_FILE, OWNER_FILE, REFUSALS_FILE, STATEMENTS_FILE, Position, Sealed, sealed
from .signatures import Sample, Signatures
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
    signatures: int  # of statements, that were checked
    first: int  # batch from which on they were
    executed_from: int  # the batches before it were not executed: a snapshot stands for them
    oldest: int  # the first batch whose folder is here
    sample: Sample
    checkpoint: bytes | None  # the newest signed note of the log, which holds

    @property
    def level(self) -> str:
        return "measurement" if self.measured == self.reports else "money"


class Look(NamedTuple):
    """A batch that was just verified, and the state before it."""

    header: Header
    inputs: Inputs
    refusals: list[Row]
    state: NetworkState
    parameters: Parameters  # in force in this batch
    beacons: BeaconChain
    executed: Executed


class Decoded(NamedTuple):
    """What a batch is made of, as rows and as columns."""

    rows: list[StatementRow]
    envelopes: list[bytes]
    inputs: Inputs
    refusals: list[Row]


class Auditor:
    """One pass over an archive. `progress(done, total)` is called after each batch, `look` in each before the state
    goes on; what it raises ends the pass. The signatures of statements are checked by `engine`, from batch `first` on,
    a `sample` of them."""

    def __init__(
        self,
        archive: Archive,
        progress: Callable[[int, int], None] | None = None,
        look: Callable[[Look], None] | None = None,
        engine: Engine | None = None,
        sample: Sample | None = None,
        first: int = 0,
    ) -> None:
        self._archive = archive
        self._engine = engine
        self._sample = sample or Sample()
        self._first = first
        self._look = look or (lambda at: None)
        self._progress = progress or (lambda done, total: None)
        self._frontier = merkle.Frontier()
        self._device_spacing: list[float] = []
        self._last: dict[bytes, tuple[int, int, int]] = {}  # device -> boot, quoted, uptime
        self._roots: list[bytes] = []  # of the log, by size
        self._waiting: dict[int, list[light.Beacon]] = {}  # beacons that name a size not reached yet
        self._statements = 0
        self._epochs: list[Row] = []

    def run(self, expected_genesis: bytes | None = None, checkpoint: tuple[str, bytes] | None = None) -> Report:
        """Verify everything. `checkpoint` is the name and contents of one that was kept from an earlier day: the log
        must contain it. Raises Wrong."""
        genesis = self._genesis(expected_genesis)
        self._keys(genesis, expected_genesis is None)
        self._signatures = Signatures(genesis.hash, self._engine, self._sample)
        self._beacons = BeaconChain(genesis.hash, self._certificates)
        self._read_beacons(genesis)
        restarts = self._restarts(genesis)
        self._log = LogAudit(self._archive)
        self._snapshots = SnapshotAudit(self._archive, genesis, self._certificates)
        self._readings = ReadingsAudit(self._archive)
        numbers = self._archive.batches()
        total = max(numbers, default=-1) + 1
        start = start_before(self._archive, self._first, genesis, self._certificates)
        total = max(total, start.number)
        state = start.state
        previous, next_slot = self._looked_at(genesis, start, numbers)
        present = set(numbers)
        for number in count(start.number):
            if number == total:
                if max(self._waiting, default=0) <= total:
                    break
                # A running coordinator seals while we read: a beacon read since names more than there were.
                present = set(self._archive.batches())
                total = max(present, default=-1) + 1
            if number not in present:
                named = max(self._waiting, default=0)
                told = f"; a beacon names {named} batches" if named > number else ""
                raise Missing(number, f"batches/{number}", f"this batch is missing{told}")
            self._log_root()
            header, header_id = self._batch(genesis, number, previous, next_slot, state)
            previous, next_slot = header_id, header.last_slot + 1
            self._progress(number + 1, total)
        self._log_root()
        incarnations = [1, *(one.incarnation for one in restarts)]
        self._log.check(genesis, incarnations, self._certificates, self._roots)
        if checkpoint is not None:
            self._kept(genesis, incarnations, *checkpoint)
        times = [beacon.time for beacon in self._beacons.beacons]
        spacing = [after - before for before, after in pairwise(times)]
        return Report(
            genesis,
            total,
            self._statements,
            len(times),
            self._readings.reports,
            self._readings.measured,
            float(median(spacing)) if spacing else 0.0,
            float(median(self._device_spacing)) if self._device_spacing else 0.0,
            self._epochs,
            state,
            restarts,
            self._signatures.checked,
            self._first,
            start.number,
            min(present, default=0),
            self._sample,
            self._log.checkpoint,
        )

    def _looked_at(self, genesis: Genesis, start: Start, numbers: list[int]) -> tuple[bytes, int]:
        """Check what can be checked of the batches before the first that is executed; (id of the last header, first
        slot that follows, -1 where nothing tells)."""
        previous, next_slot = NO_HEADER, 0
        if start.manifest is None:
            return previous, next_slot
        if numbers and numbers[0] < start.number:
            for number in range(start.number):
                self._log_root()
                header, header_id, payload = self._header(genesis, number, previous, next_slot)
                self._files(number, header)
                previous, next_slot = header_id, header.last_slot + 1
                self._frontier.append(payload)
                self._log.take(payload)
                self._progress(number + 1, numbers[-1] + 1)
        else:
            for leaf in leaves_of_tiles(self._archive, start.number, self._log.size):
                self._log_root()
                self._frontier.append_leaf(leaf)
                self._log.take_leaf(leaf)
            previous, next_slot = start.manifest.header, -1
        check_log(start.manifest, self._frontier, previous)
        self._readings.forget(key[0] for key in start.state.get("identity", {}).get("devices", {}))
        return previous, next_slot

    def _kept(self, genesis: Genesis, incarnations: list[int], name: str, data: bytes) -> None:
        """The log must be the one of this checkpoint, grown since."""
        origins = {origin_of(genesis.name, genesis.hash, one) for one in incarnations}
        keys = [one.public_key for one in self._certificates if one.role == light.ROLE_COORDINATOR]
        try:
            kept = opened_checkpoint(data, origins, keys, wire.signature_holds)
        except BadNote as error:
            raise Wrong(-1, name, str(error)) from error
        if kept.size >= len(self._roots):
            here = len(self._roots) - 1
            raise Wrong(-1, name, f"truncated: it names {kept.size} batches, here are {here}", "size")
        if kept.root != self._roots[kept.size]:
            told = f"forked: the coordinator signed another log of {kept.size} batches than this one"
            raise Wrong(-1, name, told, "root")

    def _genesis(self, expected: bytes | None) -> Genesis:
        data = self._need(-1, GENESIS_FILE)
        found = hashlib.sha256(data).digest()
        if expected is not None and found != expected:
            fault = attempted(diagnose_folder.genesis, self._archive, data, expected)
            raise Wrong(-1, GENESIS_FILE, f"its hash is {found.hex()}, not {expected.hex()}", fault and fault.field)
        try:
            return parse_genesis(data)
        except Refused as error:
            raise Wrong(-1, GENESIS_FILE, str(error)) from error

    def _keys(self, genesis: Genesis, may_be_another: bool) -> None:
        data = self._need(-1, KEYS_FILE)
        try:
            self._certificates = parse_certificates(data, genesis.hash, genesis.root_key)
        except Refused as error:
            encoded = genesis.encoded()
            if may_be_another and (fault := attempted(diagnose_folder.genesis, self._archive, encoded, None)):
                raise Wrong(-1, GENESIS_FILE, fault.what, fault.field) from error
            raise self._named(
                KEYS_FILE, str(error), attempted(diagnose_folder.keys, self._archive, data, genesis)
            ) from error

    @staticmethod
    def _named(file: str, what: str, fault: Fault | None) -> Wrong:
        return Wrong(-1, file, fault.what, fault.field) if fault else Wrong(-1, file, what)

    def _read_beacons(self, genesis: Genesis) -> None:
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
            fault = attempted(diagnose_folder.beacon, self._archive, self._beacons, genesis, self._certificates)
            told = f"beacon {self._beacons.newest + 1}: {error}"
            raise self._named(BEACONS_FILE, told, fault) from error
        if end != len(data):
            raise Wrong(-1, BEACONS_FILE, f"truncated behind beacon {self._beacons.newest}")

    def _restarts(self, genesis: Genesis) -> list[Restart]:
        data = self._archive.read(RESTARTS_FILE) or b""
        try:
            restarts = unpack_restarts(data)
            check_restarts(restarts, self._beacons, genesis.hash, self._certificates)
        except Refused as error:
            raise self._named(
                RESTARTS_FILE, str(error), attempted(diagnose_folder.restarts, data, error, self._beacons)
            ) from error
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
            told = f"beacon {beacon.number} names another log root of {size} batches"
            raise Wrong(size - 1, BEACONS_FILE, told, "log_root")

    def _batch(
        self, genesis: Genesis, number: int, previous: bytes, first_slot: int, state: MemoryState
    ) -> tuple[Header, bytes]:
        try:
            header, header_id, payload = self._header(genesis, number, previous, first_slot)
            files = self._files(number, header)
            decoded = self._inputs(genesis, number, header, files, state)
            again = self._sealed(genesis, header, decoded, state)
            inputs, refusals = decoded.inputs, decoded.refusals
            self._compare(number, header, files, again)
            self._intake_roots(number, header, inputs)
        except Missing:
            raise
        except Wrong as wrong:
            if wrong.field:
                raise

            def repeat(header: Header, files: Mapping[str, bytes]) -> Sealed:
                return self._sealed(genesis, header, self._decoded(genesis, number, header, files, state), state)

            case = diagnose.Case(
                self._archive, genesis, self._certificates, self._beacons, number, previous, first_slot, state, repeat
            )
            raise diagnose.batch(case, wrong) from wrong
        self._uptimes(inputs)
        self._statements += len(inputs.statements)
        self._epochs += rows_in(again.executed.effects["rewards"].records["epochs"])
        self._frontier.append(payload)
        self._log.take(payload)
        self._look(
            Look(header, inputs, refusals, state, _parameters(genesis, header, state), self._beacons, again.executed)
        )
        state.advance(number, {name: effects.delta for name, effects in again.executed.effects.items()}, {})
        self._snapshots.check(header, header_id, self._frontier, state)
        return header, header_id

    def _sealed(self, genesis: Genesis, header: Header, decoded: Decoded, state: NetworkState) -> Sealed:
        position = Position(header.number, header.previous, header.first_slot, header.last_slot)
        try:
            parameters = _parameters(genesis, header, state)
            return sealed(position, decoded.inputs, decoded.refusals, state, parameters, self._beacons)
        except (AssertionError, KeyError, IndexError, OverflowError) as error:
            told = f"it cannot be executed: {str(error) or repr(error)}"
            raise Wrong(header.number, f"batches/{header.number}", told) from error

    def _compare(self, number: int, header: Header, files: dict[str, bytes], again: Sealed) -> None:
        folder = f"batches/{number}"
        for name in sorted(again.files.keys() | files.keys()):
            if bytes(again.files.get(name, b"")) != files.get(name, b""):
                raise Wrong(number, f"{folder}/{name}", "is not what the inputs give")
        if again.header != header:
            fields = [name for name in header._fields if getattr(header, name) != getattr(again.header, name)]
            raise Wrong(number, f"{folder}/{HEADER_FILE}", f"{', '.join(fields)}: not what the inputs give")

    def _header(self, genesis: Genesis, number: int, previous: bytes, first_slot: int) -> tuple[Header, bytes, bytes]:
        name = f"batches/{number}/{HEADER_FILE}"
        data = self._need(number, name)
        try:
            payload = wire.envelope(data, cose.TYPE_HEADER, genesis.hash).payload
            header = parse_header(payload)
            if header.rules_version != RULES_VERSION:
                # Before the signature: with other rules the header may have another shape.
                told = f"rules version {header.rules_version}; this program has {RULES_VERSION}: install "
                raise Wrong(number, name, told + program_for(header.rules_version), "rules_version")
            key = coordinator_key(self._certificates, header.last_slot + 1)
            signed = wire.opened(data, cose.TYPE_HEADER, genesis.hash, key)
        except Refused as error:
            raise Wrong(number, name, str(error)) from error
        if what := self._misplaced(genesis, header, number, previous, first_slot):
            raise Wrong(number, name, what)
        return header, signed.id, payload

    def _misplaced(self, genesis: Genesis, header: Header, number: int, previous: bytes, first_slot: int) -> str:
        if (header.number, header.previous) != (number, previous):
            return "number or previous: it does not follow the batch before it"
        if first_slot < 0:  # the batch before it is not here: what it is bound to is its id
            first_slot = header.first_slot
        if header.first_slot != first_slot or header.last_slot < first_slot:
            return f"slots {header.first_slot} to {header.last_slot} do not follow slot {first_slot - 1}"
        if header.last_slot + 1 > self._beacons.newest:
            # The coordinator may be running: what was appended since the first look counts.
            self._read_beacons(genesis)
        if header.last_slot + 1 > self._beacons.newest:
            return f"it was sealed at beacon {header.last_slot + 1}, which is not published"
        if header.beacon != self._beacons.id_of(header.last_slot + 1):
            return "beacon: it names another one than was published"
        return ""

    def _files(self, number: int, header: Header) -> dict[str, bytes]:
        listed = {entry.name: entry for entry in header.files}
        present = set(self._archive.batch_files(number)) - {HEADER_FILE}
        for name in sorted(present - listed.keys()):
            raise Missing(number, f"batches/{number}/{name}", "the header does not know this file")
        files = {}
        for name, entry in listed.items():
            data = self._need(number, f"batches/{number}/{name}")
            if len(data) != entry.size or hashlib.sha256(data).digest() != entry.sha256:
                raise Wrong(number, f"batches/{number}/{name}", "does not have the hash that the header gives")
            files[name] = data
        return files

    def _inputs(
        self, genesis: Genesis, number: int, header: Header, files: dict[str, bytes], state: NetworkState
    ) -> Decoded:
        decoded = self._decoded(genesis, number, header, files, state)
        identity = state.get("identity", {})
        if number >= self._first:
            try:
                self._signatures.check(decoded.envelopes, identity)
            except BadInput as error:
                raise Wrong(number, f"batches/{number}/{STATEMENTS_FILE}", str(error)) from error
        units = _parameters(genesis, header, state).units("sensing_units")
        self._readings.check(number, decoded.rows, identity, units)
        return decoded

    def _decoded(
        self, genesis: Genesis, number: int, header: Header, files: Mapping[str, bytes], state: NetworkState
    ) -> Decoded:
        """All but the signatures of the statements is checked."""
        file = STATEMENTS_FILE
        try:
            held = unpack_statements(files.get(STATEMENTS_FILE, b""))
            rows, envelopes = read_statements(held, self._beacons, genesis.hash)
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
        inputs = Inputs(Statements.of(rows), pack_statements(rows, envelopes), owner_rows, owner_envelopes)
        return Decoded(rows, envelopes, inputs, refusals)

    def _intake_roots(self, number: int, header: Header, inputs: Inputs) -> None:
        ids: dict[int, list[bytes]] = {slot: [] for slot in range(header.first_slot, header.last_slot + 1)}
        columns = inputs.statements.columns
        for slot, statement_id in zip(columns["slot"].tolist(), columns["id"].tolist(), strict=True):
            ids[slot].append(statement_id)
        for slot, of_slot in ids.items():
            if slot + 2 > self._beacons.newest:
                continue
            if self._beacons.beacons[slot + 2].intake_root != intake_root(of_slot):
                what = f"slot {slot} does not hold the statements that beacon {slot + 2} committed to"
                raise Wrong(number, f"batches/{number}/{STATEMENTS_FILE}", what)

    def _uptimes(self, inputs: Inputs) -> None:
        columns = (inputs.statements.columns[name].tolist() for name in ("device", "boot", "quoted", "uptime_s"))
        for device, boot, quoted, uptime_s in zip(*columns, strict=True):
            last_boot, last_quoted, last_uptime_s = self._last.get(device, (0, 0, 0))
            if last_boot == boot and quoted > last_quoted and len(self._device_spacing) < 1_000_000:
                self._device_spacing.append((uptime_s - last_uptime_s) / (quoted - last_quoted))
            self._last[device] = (boot, quoted, uptime_s)

    def _need(self, batch: int, name: str) -> bytes:
        data = self._archive.read(name)
        if data is None:
            raise Missing(batch, name, "is missing")
        return data


def _parameters(genesis: Genesis, header: Header, state: NetworkState) -> Parameters:
    """Those in force in a batch; `state` is that before it."""
    return in_force(genesis.parameters, state.get("accounts", {}), header.first_slot)
