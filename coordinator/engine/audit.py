"""verify: a stranger re-executes everything from what is published, and names the first thing that is wrong.

Two levels. *Money*: every signature, every batch from its inputs to its payouts, the header chain, the log root that
the beacons carry, the tiles and the checkpoint of that log, and that each slot's statements are exactly those that a
beacon committed to. *Measurement*: also the readings, against the commitments in the signed reports and the codes that
sensing gave them, for all that are there.

Checking statement signatures is nearly all of the work: an engine shares it out, a sample takes some of them, and
`first` leaves them out before a batch. All else is done for every batch.

Here is the order of the walk; what is looked at on the way stands in the files audit_*.py.
"""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from coordinator.kernel.tables import Row, rows_in

from .archive import Archive, Missing
from .audit_batch import BatchAudit, Checked
from .audit_log import LogAudit, check_kept
from .audit_network import NetworkAudit
from .audit_readings import ReadingsAudit
from .audit_roots import RootsAudit
from .audit_snapshots import SnapshotAudit
from .audit_spacing import DeviceSpacing, beacon_spacing_s
from .audit_start import Start, check_log, leaves_of_tiles, start_before
from .engines import Engine
from .genesis import Genesis
from .header import NO_HEADER
from .restarts import Restart
from .signatures import Sample, Signatures
from .state import MemoryState, NetworkState


class Report(NamedTuple):
    """What was verified. `state` is the network after the last batch; spacing is in seconds, 0 where unknown."""

    genesis: Genesis
    batches: int
    statements: int
    beacons: int
    reports: int
    measured: int
    deleted: int  # reports whose public readings their owners deleted
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


class Auditor:
    """One pass over an archive. `progress(done, total)` is called after each batch, `look` in each before the state
    goes on; what it raises ends the pass. The signatures of statements are checked by `engine`, from batch `first` on,
    a `sample` of them."""

    def __init__(
        self,
        archive: Archive,
        progress: Callable[[int, int], None] | None = None,
        look: Callable[[Checked], None] | None = None,
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
        self._roots = RootsAudit()
        self._readings = ReadingsAudit(archive)
        self._spacing = DeviceSpacing()
        self._statements = 0
        self._epochs: list[Row] = []

    def run(self, expected_genesis: bytes | None = None, checkpoint: tuple[str, bytes] | None = None) -> Report:
        """Verify everything. `checkpoint` is the name and contents of one that was kept from an earlier day: the log
        must contain it. Raises Wrong."""
        network = NetworkAudit(self._archive, self._roots, expected_genesis)
        signatures = Signatures(network.genesis.hash, self._engine, self._sample)
        self._log = LogAudit(self._archive)
        self._snapshots = SnapshotAudit(self._archive, network.genesis, network.certificates)
        self._batches = BatchAudit(self._archive, network, signatures, self._readings, self._first)
        numbers = self._archive.batches()
        start = start_before(self._archive, self._first, network.genesis, network.certificates)
        total = max(max(numbers, default=-1) + 1, start.number)
        previous, next_slot = self._looked_at(start, numbers)
        present = set(numbers)
        for number in count(start.number):
            if number == total:
                if self._roots.named <= total:
                    break
                # A running coordinator seals while we read: a beacon read since names more than there were.
                present = set(self._archive.batches())
                total = max(present, default=-1) + 1
            if number not in present:
                told = f"; a beacon names {self._roots.named} batches" if self._roots.named > number else ""
                raise Missing(number, f"batches/{number}", f"this batch is missing{told}")
            self._roots.reached()
            previous, next_slot = self._batch(number, previous, next_slot, start.state)
            self._progress(number + 1, total)
        self._roots.reached()
        self._log.check(network, self._roots.by_size)
        if checkpoint is not None:
            check_kept(*checkpoint, network, self._roots.by_size)
        return Report(
            genesis=network.genesis,
            batches=total,
            statements=self._statements,
            beacons=len(network.beacons.beacons),
            reports=self._readings.reports,
            measured=self._readings.measured,
            deleted=self._readings.deleted,
            beacon_spacing_s=beacon_spacing_s(network.beacons),
            device_spacing_s=self._spacing.median_s,
            epochs=self._epochs,
            state=start.state,
            restarts=network.restarts,
            signatures=signatures.checked,
            first=self._first,
            executed_from=start.number,
            oldest=min(present, default=0),
            sample=self._sample,
            checkpoint=self._log.checkpoint,
        )

    def _looked_at(self, start: Start, numbers: list[int]) -> tuple[bytes, int]:
        """Check what can be checked of the batches before the first that is executed; (id of the last header, first
        slot that follows, -1 where nothing tells)."""
        previous, next_slot = NO_HEADER, 0
        if start.manifest is None:
            return previous, next_slot
        if numbers and numbers[0] == 0:
            for number in range(start.number):
                self._roots.reached()
                header, header_id, leaf = self._batches.header(number, previous, next_slot)
                self._batches.files(header)
                previous, next_slot = header_id, header.last_slot + 1
                self._grow(leaf)
                self._progress(number + 1, numbers[-1] + 1)
        else:
            for leaf in leaves_of_tiles(self._archive, start.number, self._log.size):
                self._roots.reached()
                self._grow(leaf)
            previous, next_slot = start.manifest.header, -1
        check_log(start.manifest, self._roots.frontier, previous)
        self._readings.forget(key[0] for key in start.state.get("identity", {}).get("devices", {}))
        return previous, next_slot

    def _batch(self, number: int, previous: bytes, next_slot: int, state: MemoryState) -> tuple[bytes, int]:
        """Check the next batch and go on behind it; (id of its header, first slot that follows)."""
        checked = self._batches.check(number, previous, next_slot, state)
        header, effects = checked.header, checked.executed.effects
        self._spacing.take(checked.inputs.statements)
        self._statements += len(checked.inputs.statements)
        self._epochs += rows_in(effects["rewards"].records["epochs"])
        self._grow(checked.leaf)
        self._look(checked)
        state.advance(number, {name: one.delta for name, one in effects.items()}, {})
        self._snapshots.check(header, checked.header_id, self._roots.frontier, state)
        return checked.header_id, header.last_slot + 1

    def _grow(self, leaf: bytes) -> None:
        """The log goes on with the hash of the next header."""
        self._roots.frontier.append_leaf(leaf)
        self._log.take(leaf)
