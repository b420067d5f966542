"""The coordinator without its network: keys, beacons, intake and batches on one data directory, all of it synchronous.

The service drives it with real messages and a real clock, the simulation with simulated ones; both get the same bytes.

    beacon(time)    close the slot and publish the next beacon, durable before it is returned
    seal_next()     the next batch of closed slots, durable as a folder; None when none is due
    adopt(batch)    go on from the state after it
"""

import hashlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import nacl.signing

from coordinator import crash
from coordinator.engine.beacons import BeaconChain, intake_root, nonce_of
from coordinator.engine.content import Content
from coordinator.engine.engines import Engine
from coordinator.engine.genesis import coordinator_key, parse_certificates, parse_genesis
from coordinator.engine.header import HEADER_FILE, NO_HEADER, RULES_VERSION, Header, parse_header, program_for
from coordinator.engine.inputs import Held, Inputs, in_order, in_owner_order, read_message
from coordinator.engine.log import BUNDLE, TILE_HASHES, Tile, entries, origin_of
from coordinator.engine.measuring import Measured, Memories, declared, measured, reports_with
from coordinator.engine.owner_wire import Keys, owner_row
from coordinator.engine.packing import REFUSALS, Readings, pack_statements, sorted_refusals, unpack_statements
from coordinator.engine.report_shape import ReportShape
from coordinator.engine.restarts import beacon_of, shown, unpack_restarts
from coordinator.engine.seal import STATEMENTS_FILE, Position, Sealed, sealed
from coordinator.engine.state import State
from coordinator.engine.timing import Clock, Recorder, Timer, Untimed
from coordinator.engine.wire import Refused, envelope, opened
from coordinator.ingest.counts import Counts
from coordinator.ingest.intake import Intake
from coordinator.ingest.log import ID_BYTES, REFUSAL, STATEMENT, IntakeLog, SlotLogs
from coordinator.ingest.owner_inbox import OwnerInbox
from coordinator.ingest.quotas import Limits
from coordinator.ingest.receipts import Signer
from coordinator.ingest.registry import Changes, changes_of
from coordinator.ingest.waiting_tokens import INBOX_MAX, WaitingTokens
from coordinator.kernel.module import OwnerRow
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.postings import OWNER
from coordinator.kernel.statements import Statements
from coordinator.kernel.tables import Row
from coordinator.modules.accounts import in_force
from coordinator.store import folders
from coordinator.store.home import Home
from coordinator.store.log_files import LogFiles, LogWriter
from coordinator.store.redo import write_redo
from device_client.core import cose, light, merkle, verdicts


class SealedBatch(NamedTuple):
    """A batch that is durable as a folder, with its public readings and what sensing remembers after it."""

    sealed: Sealed
    header_id: bytes
    payload: bytes
    reading_rows: list[Row]
    memories: Memories
    inbox: list[Path]
    timer: Timer


class Node:
    """One coordinator on one data directory. `state` is that after the newest batch folder. Without `limits` the
    intake is in other processes, and only their logs are read here. Batches are executed in `lanes` by `engine`;
    with a clock it is recorded where their time goes."""

    def __init__(
        self,
        home: Home,
        state: State,
        limits: Limits | None,
        engine: Engine | None = None,
        lanes: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self.home = home
        self.genesis = parse_genesis(home.genesis.read_bytes())
        self.certificates = parse_certificates(home.keys.read_bytes(), self.genesis.hash, self.genesis.root_key)
        self.state = state
        self._engine, self._lanes, self._clock = engine, lanes, clock
        self._beacon_seed = home.beacon_seed.read_bytes()
        self._key = nacl.signing.SigningKey(home.coordinator_key.read_bytes())
        self.public_key = bytes(self._key.verify_key)
        self.signer = Signer(cose.signer_id(self.public_key), self.genesis.hash, self._sign)
        self._beacon_file = folders.BeaconFile(home.beacons)
        self.beacons = BeaconChain(self.genesis.hash, self.certificates)
        for held in self._beacon_file.envelopes:
            self.beacons.append(held)
        assert coordinator_key(self.certificates, self.beacons.newest + 1) == self.public_key, "uncertified key"
        restarts = unpack_restarts(home.restarts.read_bytes()) if home.restarts.exists() else []
        self.incarnation = restarts[-1].incarnation if restarts else 1
        self.frontier = merkle.Frontier()
        self.header: Header | None = None
        self._header_id = NO_HEADER
        origin = origin_of(self.genesis.name, self.genesis.hash, self.incarnation)
        self._log = LogWriter(home, origin, self.public_key, self._sign)
        self._read_headers()
        self._shape = ReportShape(self.genesis.hash)
        self.logs = SlotLogs(home.intake)
        self.logs.drop(self.next_slot - 1)
        self._roots: dict[int, bytes] = {}  # of closed slots that a beacon to come names
        self.counts = Counts()
        self.owner_inbox = OwnerInbox(home.owner_inbox, self.genesis.hash, lambda: self.keys, self._has_balance)
        self._intake: Intake | None = None
        if limits is not None:
            self._intake = Intake(
                self.genesis.hash,
                self.genesis.parameters.calendar,
                self.beacons,
                IntakeLog(home.intake / "0"),
                state.get("identity", {}),
                limits,
                self.counts,
                WaitingTokens(home.inbox, self.genesis.hash, self.public_key),
            )
            self._intake.restore(self.logs)

    @property
    def intake(self) -> Intake:
        """That of this process."""
        assert self._intake is not None, "the intake is in other processes"
        return self._intake

    def enrolling(self) -> list[tuple[bytes, bytes]]:
        """(device, token key) of the enrolments that this process knows and no sealed batch holds."""
        return self._intake.enrolling() if self._intake else []

    def refuse(self, code: int, device: bytes | None) -> None:
        """Count what was refused before the intake saw it; a device is named only where the broker vouches for it."""
        registered = device is not None and (device,) in self.state.get("identity", {}).get("devices", {})
        self.counts.add(code, device if registered else None)

    def _sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature

    def _read_headers(self) -> None:
        """The log must become the one that the newest beacon names. An AssertionError is a fault."""
        numbers = folders.numbered(self.home.batches)
        named = self.beacons.beacons[-1] if self.beacons.beacons else None
        for payload in chain(self._moved_away(numbers[0] if numbers else 0), self._in_folders(numbers)):
            self.frontier.append(payload)
            self._log.append(payload)
            if named is not None and named.log_size == self.frontier.size:
                assert named.log_root == self.frontier.root(), (
                    f"beacon {named.number} names other batches than are here"
                )
        made_by = self.header.rules_version if self.header else RULES_VERSION
        assert made_by == RULES_VERSION, (
            f"the newest batch is of rules version {made_by}, this program has {RULES_VERSION}; it takes"
            f" {program_for(made_by)} to go on, or a new data directory"
        )

    def _moved_away(self, end: int) -> Iterator[bytes]:
        """The headers up to before `end`, whose folders are not here: the log has them."""
        log = LogFiles(self.home.log)
        for first in range(0, end, TILE_HASHES):
            tile = Tile(BUNDLE, first // TILE_HASHES, min(TILE_HASHES, end - first))
            data = log.tile(tile)
            assert data is not None, (
                f"batches {first} to {first + tile.width - 1} are not here, nor is {self.home.log / tile.path}"
            )
            yield from entries(data)

    def _in_folders(self, numbers: list[int]) -> Iterator[bytes]:
        for number in numbers:
            folder = self.home.batches / str(number)
            assert number == self.frontier.size, f"{self.home.batches / str(self.frontier.size)} is missing"
            signed = envelope((folder / HEADER_FILE).read_bytes(), cose.TYPE_HEADER, self.genesis.hash)
            self.header, self._header_id = parse_header(signed.payload), signed.id
            yield signed.payload

    @property
    def header_id(self) -> bytes:
        """Of the newest batch; zero bytes before the first."""
        return self._header_id

    @property
    def next_batch(self) -> int:
        return self.frontier.size

    @property
    def next_slot(self) -> int:
        """The first slot that is in no batch yet."""
        return self.header.last_slot + 1 if self.header else 0

    # BEACONS

    def beacon(self, time: int) -> bytes:
        """Close the slot: the next beacon, durable. `time` is unix seconds; it never runs backwards. Raises OSError."""
        number = self.beacons.newest + 1
        if self.beacons.beacons:
            time = max(time, self.beacons.beacons[-1].time)
        beacon = light.Beacon(
            self.incarnation,
            number,
            time,
            nonce_of(self._beacon_seed, self.incarnation, number),
            hashlib.sha256(nonce_of(self._beacon_seed, self.incarnation, number + 1)).digest(),
            self.frontier.size,
            self.frontier.root(),
            self._intake_root(number - 2),
        )
        data = self.signer.envelope(cose.TYPE_BEACON, beacon.payload())
        crash.reached("before_beacon_sync")
        self._beacon_file.append(data)
        crash.reached("after_beacon_before_publish")
        self.beacons.append(data)
        self._roots = {slot: root for slot, root in self._roots.items() if slot > number - 2}
        if self._intake:
            self._intake.open_slot()
        return data

    def prepare(self) -> None:
        """Work out ahead what the next beacon says of the slot that has just been closed."""
        self._intake_root(self.beacons.newest - 1)

    def is_rolled_back(self, envelope: bytes) -> bool:
        """Whether a beacon that a device shows is ours and not in our chain: then our disk has lost it. What is older
        than the last restart is known to be lost. Raises Refused."""
        claimed = beacon_of(envelope, self.genesis.hash)
        if claimed.incarnation < self.incarnation:
            return False
        if claimed.number <= self.beacons.newest and claimed.incarnation == self.incarnation:
            held = self.beacons.beacons[claimed.number]
            if held.incarnation != claimed.incarnation or self.beacons.envelopes[claimed.number] == envelope:
                return False
        shown(envelope, self.genesis.hash, self.certificates)
        return True

    def _intake_root(self, slot: int) -> bytes:
        """A batch may have taken the slot since its root was worked out: to read a large one again, while the next
        beacon waits, would keep all statements waiting too."""
        if slot not in self._roots:
            self._roots[slot] = self._read_root(slot)
        return self._roots[slot]

    def _read_root(self, slot: int) -> bytes:
        if slot < 0:
            return merkle.empty_root()
        if slot >= self.next_slot:
            self.logs.sync(slot)
            return intake_root(self.logs.ids(slot))
        folder = self.home.batches / str(self._batch_of(slot))
        path = folder / STATEMENTS_FILE
        held = unpack_statements(path.read_bytes()) if path.exists() else []
        ids = [envelope(data, cose.TYPE_STATEMENT, self.genesis.hash).id for found, data in held if found == slot]
        return intake_root(ids)

    def _batch_of(self, slot: int) -> int:
        return slot // self.genesis.parameters.calendar.batch_beacons

    # BATCHES

    def contents(self, slot: int) -> tuple[list[Held], list[Row]]:
        """The statements of a slot that is in no batch yet, and the rows of what was finally refused in it."""
        held: list[Held] = []
        refused: list[Row] = []
        for kind, body in self.logs.read(slot):
            if kind == STATEMENT:
                held.append(read_message(slot, body[ID_BYTES:], self._shape, self.beacons, self.genesis.hash))
            elif kind == REFUSAL:
                refused += REFUSALS.unpack(body)
        return held, refused

    def seal_next(self) -> SealedBatch | None:
        """Publish the log of the batches so far, then seal the next if all its slots are closed. An AssertionError is a
        fault: stop, and so is EngineFailed. Raises OSError."""
        self._log.publish()
        first_slot = self.next_slot
        last_slot = first_slot + self.genesis.parameters.calendar.batch_beacons - 1
        if last_slot >= self.beacons.newest:
            return None
        timer: Timer = Recorder(self._clock) if self._clock else Untimed()
        slots = range(first_slot, last_slot + 1)
        held: list[Held] = []
        refusals: list[Row] = []
        with timer.step("read the intake"):
            for slot in slots:
                found, refused = self.contents(slot)
                held += found
                refusals += refused
        inbox = sorted(self.home.inbox.glob("*.cose"))[:INBOX_MAX] + self.owner_inbox.paths()
        with timer.step("order and measure"):
            inputs, readings, public, measurements = self._inputs(in_order(held), inbox)
        del held, found
        position = Position(self.next_batch, self._header_id, first_slot, last_slot)
        batch = sealed(
            position,
            inputs,
            sorted_refusals(refusals),
            self.state,
            self.parameters,
            self.beacons,
            self._engine,
            self._lanes,
            timer,
        )
        payload = batch.header.payload()
        header = self.signer.envelope(cose.TYPE_HEADER, payload)
        memories, rows = measurements.memories, measurements.rows
        with timer.step("write the folder"):
            folders.write_readings(
                self.home,
                position.number,
                {index: one for index, one in readings.items() if index in public},
                {index: one for index, one in readings.items() if index not in public},
            )
            crash.reached("before_redo")
            write_redo(self.home, position.number, batch.deltas, memories, rows)
            folders.write_batch(self.home, position.number, {**batch.files, HEADER_FILE: Content.of(header)})
        crash.reached("after_rename_before_apply")
        header_id = opened(header, cose.TYPE_HEADER, self.genesis.hash, self.public_key).id
        return SealedBatch(batch, header_id, payload, rows, memories, inbox, timer)

    def _inputs(self, held: list[Held], inbox: list[Path]) -> tuple[Inputs, Readings, set[int], Measured]:
        rows = [one.row for one in held]
        readings = {index: (one.salt, one.readings) for index, one in enumerate(held) if one.salt}
        declarations = declared(rows, self.state.get("identity", {}))
        units = self.parameters.units("sensing_units")
        memories = self.state.remembered({row.device for row in rows})
        found = measured(rows, readings, declarations, memories, units)
        owner_rows, owner_envelopes = self._owner_messages(inbox)
        packed = pack_statements(rows, [one.envelope for one in held])
        inputs = Inputs(Statements.of(rows, found.codes), packed, owner_rows, owner_envelopes)
        return inputs, readings, reports_with(rows, declarations, public=True), found

    def _owner_messages(self, inbox: list[Path]) -> tuple[list[OwnerRow], list[bytes]]:
        """What waits in the inbox, checked again with the keys before this batch. What cannot stand in a batch is put
        aside; so is what a batch holds already, if a process ended before it was taken away."""
        keys = self.keys
        found: dict[bytes, tuple[OwnerRow, bytes]] = {}
        for path in inbox:
            data = path.read_bytes()
            try:
                message = owner_row(data, self.genesis.hash, keys)
                if message.nonce <= keys.nonce_of(message.account):
                    raise Refused(verdicts.BAD_NONCE)
            except Refused:
                path.rename(path.with_suffix(".refused"))
                continue
            found[message.id] = message, data
        return in_owner_order(found.values())

    @property
    def keys(self) -> Keys:
        """Whose signature under an owner message counts before the next batch."""
        return Keys(self.public_key, self.state.get("accounts", {}))

    def _has_balance(self, account: bytes) -> bool:
        return (OWNER, account) in self.state.get("ledger", {}).get("balances", {})

    @property
    def parameters(self) -> Parameters:
        """Those in force in the next batch."""
        return in_force(self.genesis.parameters, self.state.get("accounts", {}), self.next_slot)

    def adopt(self, batch: SealedBatch) -> Changes:
        """Go on from the state after a sealed batch, which every store has applied; what it changed in the registry.
        Raises OSError."""
        deltas = {name: effects.delta for name, effects in batch.sealed.executed.effects.items()}
        self.state.advance(batch.sealed.header.number, deltas, batch.memories)
        self.header, self._header_id = batch.sealed.header, batch.header_id
        self.frontier.append(batch.payload)
        self._log.append(batch.payload)
        for path in batch.inbox:
            path.unlink(missing_ok=True)
        self.owner_inbox.settle()
        crash.reached("mid_adopt")
        changes = changes_of(batch.sealed.executed.effects["identity"].delta, self.header.last_slot)
        if self._intake:
            self._intake.refresh(self.state["identity"], changes)
        self.logs.drop(changes.last_slot)
        return changes
