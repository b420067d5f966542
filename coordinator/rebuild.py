"""`edgetally rebuild`: stores made anew from the batch folders.

Records are read from the folders, state comes from executing the batches again: from the newest snapshot behind which
all folders are here, else from genesis. The intake's store is in no batch: readings are taken from where they are held,
what sensing remembers from measuring them again, refusals from the folders; its running counters are lost.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from coordinator.engine.archive import Wrong
from coordinator.engine.beacons import BeaconChain, unframed
from coordinator.engine.genesis import parse_certificates, parse_genesis
from coordinator.engine.measuring import Memories, declared, measured
from coordinator.engine.packing import REFUSALS, BadInput, Readings, unpack_readings
from coordinator.engine.reexecution import Reexecuted, Reexecution, Source
from coordinator.engine.seal import REFUSALS_FILE
from coordinator.kernel.rows import rows_of
from coordinator.store.folders import FolderArchive, numbered
from coordinator.store.home import Home
from coordinator.store.new_file import NewFile
from coordinator.store.schema import INTAKE, MEMORIES, READINGS, RECORDS, STATE
from coordinator.store.stores import intake_delta
from device_client.core.statement import KIND_REPORT

Progress = Callable[[int, int], None]


class Rebuilt(NamedTuple):
    """`first` is the first batch whose folder is here, `start` the first that was executed again, `newest` the last.
    `missing_readings` are reports whose readings are nowhere."""

    first: int
    start: int
    newest: int
    missing_readings: int


def rebuild(home: Home, stores: Sequence[str], progress: Progress) -> Rebuilt:
    """Make stores anew. The caller holds the lock of the data directory. Interrupted, it leaves the old files.

    Raises Wrong where the folders do not give the state, Refused, OSError.
    """
    source = source_of(home)
    numbers = numbered(home.batches)
    if not numbers:
        raise Wrong(-1, "batches", "there is no batch: edgetally up makes the stores")
    first, newest = numbers[0], numbers[-1]
    for expected, number in enumerate(numbers, first):
        if number != expected:
            raise Wrong(expected, f"batches/{expected}", "is missing, though an older one is here")
    again, start = _begun(home, source, first, INTAKE in stores)
    files: dict[str, NewFile] = {}
    try:
        for store in stores:
            files[store] = NewFile(store, home.store(store))
        work = _Work(source, files)
        for number in range(first, start):
            work.records(number)
            progress(number - first + 1, len(numbers))
        for one in again.batches(newest + 1):
            work.records(one.header.number)
            if INTAKE in files:
                work.measure(one)
            progress(one.header.number - first + 1, len(numbers))
        for store in stores:
            if store != INTAKE:
                for table in STATE[store]:
                    found = rows_of(again.state.get(store, {}), table.name)
                    files[store].put(table, (key + row for key, row in found.items()))
        if INTAKE in files:
            work.remember()
        while files:
            store = next(iter(files))
            files[store].finish(newest)
            del files[store]
    finally:
        for file in files.values():
            file.abandon()
    return Rebuilt(first, start, newest, work.missing_readings)


def source_of(home: Home) -> Source:
    """Raises Refused, OSError."""
    genesis = parse_genesis(home.genesis.read_bytes())
    certificates = parse_certificates(home.keys.read_bytes(), genesis.hash, genesis.root_key)
    beacons = BeaconChain(genesis.hash, certificates)
    for held in unframed(home.beacons.read_bytes())[0]:
        beacons.append(held)
    return Source(FolderArchive(home.root), genesis, certificates, beacons)


def _begun(home: Home, source: Source, first: int, oldest: bool) -> tuple[Reexecution, int]:
    """The newest start that can be used, or the oldest: readings are measured from there on. Raises Wrong."""
    snapshots = [number + 1 for number in numbered(home.snapshots) if number >= first]
    starts: Iterator[int] = iter(sorted([0] * (first == 0) + snapshots, reverse=not oldest))
    wrong = Wrong(first, f"batches/{first}", "is the oldest batch here, and there is no snapshot to start from")
    for start in starts:
        try:
            return Reexecution(source, start), start
        except Wrong as error:
            wrong = error
    raise wrong


class _Work:
    def __init__(self, source: Source, files: dict[str, NewFile]) -> None:
        self._source = source
        self._files = files
        self._memories: Memories = {}
        self.missing_readings = 0

    def records(self, number: int) -> None:
        """What the folder of a batch holds of each store's records."""
        header, _ = self._source.header(number)
        published = self._source.files(header)
        for store, file in self._files.items():
            for table in RECORDS[store]:
                name = REFUSALS_FILE if table is REFUSALS else f"{table.name}.rows"
                if name in published:
                    file.append(table, number, table.unpack(published[name]))

    def measure(self, one: Reexecuted) -> None:
        """Public readings of a batch, and what sensing remembers of all that are held."""
        rows, number = one.rows, one.header.number
        archive = self._source.archive
        held: Readings = {}
        for name, data in (
            (f"readings/{number}.bin", archive.read(f"readings/{number}.bin")),
            (f"private/readings/{number}.bin", archive.private_readings(number)),
        ):
            try:
                held.update(unpack_readings(data or b""))
            except BadInput as error:
                raise Wrong(number, name, str(error)) from error
        declarations = declared(rows, one.identity)
        found = measured(rows, held, declarations, self._memories, one.parameters.units("sensing_units"))
        self._memories.update(found.memories)
        self.missing_readings += sum(
            row.kind == KIND_REPORT and row.device in declarations and index not in held
            for index, row in enumerate(rows)
        )
        self._files[INTAKE].append(READINGS, number, found.rows)

    def remember(self) -> None:
        changed = intake_delta(self._memories)[MEMORIES.name]
        self._files[INTAKE].put(MEMORIES, (key + row for key, row in sorted(changed.items()) if row is not None))
