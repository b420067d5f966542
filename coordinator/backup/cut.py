"""One moment of a data directory to which somebody may be writing: what of it belongs together.

In this order, and begun again when a batch came in between:

    1  a read transaction on every store
    2  the redo file, the highest log that was signed, checkpoint and last tiles, keys and messages that wait
    3  beacons.log up to its newest whole beacon b
    4  the intake log's files, opened: whoever drops them does not take them from us
    5  the list of batches, up to n

Whatever is sealed into a batch is dropped after its folder has appeared, and a batch is sealed by a beacon that is
durable before. So if batch n was sealed by a beacon that we have, and the stores are at n (or at n - 1 with the redo
file of n), then the slots that batches do not hold are all in 4, complete up to b - 1; slots behind b are left out.
"""

import contextlib
import io
import mmap
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from coordinator.engine.beacons import frame, unframed
from coordinator.engine.genesis import Genesis, parse_genesis
from coordinator.engine.header import HEADER_FILE, NO_HEADER, parse_header
from coordinator.engine.log import CHECKPOINT_FILE, BadNote, parse_checkpoint, tiles_of
from coordinator.engine.wire import envelope
from coordinator.ingest.log import unpacked
from coordinator.store.copies import StoreCopies
from coordinator.store.folders import numbered
from coordinator.store.home import Home, HomeInUse
from device_client.core import cose

TRIES = 200
AGAIN_S = 0.1
SNAPSHOTS_MAX = 2
SMALL_BYTES_MAX = 64 << 20
# In `private/`, and copied in a way of their own, or made anew at each start, or for people only.
_OWN_WAY = (
    "lock",
    "stores",
    "intake",
    "redo",
    "readings",
    "log.highest",
    "mosquitto",
    "timings",
    "backups.json",
    "web",
)


class Moving(OSError):
    """Batch after batch came while we looked."""


class Held(NamedTuple):
    """Bytes that nobody can take away any more."""

    name: str
    file: BinaryIO
    size: int


class Cut:
    """Of `home`, with everything opened that may vanish. `batch` is the newest, -1 for none. End with `close`.

    Raises Moving, Refused, StoreBroken, OSError.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.genesis: Genesis = parse_genesis(home.genesis.read_bytes())
        self.held: list[Held] = []
        self.batch = self.beacon = -1
        self.header_id = NO_HEADER
        self.checkpoint = b""
        self._room_for_files()
        for _ in range(TRIES):
            self.stores = StoreCopies(home)
            try:
                if self._looked():
                    return
            except BaseException:
                self.close()
                raise
            self.close()
            time.sleep(AGAIN_S)
        raise Moving("no moment was found between two batches; try again when fewer come")

    def close(self) -> None:
        self.stores.close()
        for held in self.held:
            held.file.close()
        self.held.clear()

    def lasting(self) -> Iterator[str]:
        """Names below the data directory of what is never changed: batches, and readings, which may be deleted."""
        for number in numbered(self.home.batches):
            if number <= self.batch:
                folder = self.home.batches / str(number)
                yield from sorted(f"batches/{number}/{path.name}" for path in folder.iterdir())
        for folder in (self.home.readings, self.home.private_readings):
            for path in sorted(folder.glob("*.bin")):
                if path.stem.isdecimal() and int(path.stem) <= self.batch:
                    yield path.relative_to(self.home.root).as_posix()
        for tile in self._tiles:
            if tile.is_full:
                yield f"log/{tile.path}"

    def _looked(self) -> bool:
        redo = {int(path.stem) for path in self.home.redo.glob("*.cbor") if self._read(path)}
        self._read(self.home.log_highest)
        self._read_log()
        for path in (self.home.genesis, self.home.keys, self.home.restarts):
            self._read(path)
        for path in sorted(self.home.private.rglob("*")):
            parts = path.relative_to(self.home.private).parts
            if parts[0] not in _OWN_WAY and not path.name.endswith(".tmp") and path.is_file():
                self._read(path)
        self._read_beacons()
        intake = [(path, path.open("rb")) for path in sorted(self.home.intake.glob("*/*.log"))]
        self.held += [Held(self._name(path), file, 0) for path, file in intake]
        if not self._is_whole(redo):
            return False
        self.held = [one for one in map(self._measured, self.held) if one is not None]
        self._open_snapshots()
        return True

    def _is_whole(self, redo: set[int]) -> bool:
        """Whether the newest batch is one that beacons and stores belong to."""
        self.batch = max(numbered(self.home.batches), default=-1)
        applied = self.stores.applied.values()
        if max(applied) > self.batch:
            return False
        if min(applied) < self.batch and (min(applied) < self.batch - 1 or self.batch not in redo):
            return False
        if self.batch < 0:
            return True
        data = (self.home.batches / str(self.batch) / HEADER_FILE).read_bytes()
        signed = envelope(data, cose.TYPE_HEADER, self.genesis.hash)
        self.header_id = signed.id
        return parse_header(signed.payload).last_slot < self.beacon

    def _read_log(self) -> None:
        """The checkpoint, and those of its tiles that wider ones may replace."""
        self._tiles = []
        self.checkpoint = b""
        path = self.home.root / CHECKPOINT_FILE
        if not self._read(path):
            return
        self.checkpoint = self.held[-1].file.read()
        self.held[-1].file.seek(0)
        try:
            self._tiles = list(tiles_of(parse_checkpoint(self.checkpoint)[0].size))
        except BadNote as error:
            raise OSError(f"{path}: {error}; restart the coordinator, it makes it anew") from None
        for tile in self._tiles:
            if not tile.is_full:
                self._read(self.home.log / tile.path)

    def _read_beacons(self) -> None:
        envelopes, _ = unframed(self.home.beacons.read_bytes() if self.home.beacons.exists() else b"")
        self.beacon = len(envelopes) - 1
        if envelopes:
            self._keep(self.home.beacons, b"".join(map(frame, envelopes)))

    def _measured(self, held: Held) -> Held | None:
        """A log of the intake with its length, None for one behind the newest beacon; all else as it is."""
        if not held.name.startswith(self._name(self.home.intake) + "/"):
            return held
        slot = Path(held.name).stem
        if slot.isdecimal() and int(slot) <= self.beacon:
            return held._replace(size=_whole_records(held.file))
        held.file.close()
        return None

    def _open_snapshots(self) -> None:
        for number in [one for one in numbered(self.home.snapshots) if one <= self.batch][-SNAPSHOTS_MAX:]:
            opened: list[Held] = []
            try:
                for path in sorted((self.home.snapshots / str(number)).iterdir()):
                    opened.append(Held(self._name(path), path.open("rb"), path.stat().st_size))
            except FileNotFoundError:  # an older one makes room for a newer one
                for held in opened:
                    held.file.close()
                continue
            self.held += opened

    def _read(self, path: Path) -> bool:
        """Keep a small file in memory; False when it is not there, or not any more."""
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > SMALL_BYTES_MAX:
                self.held.append(Held(self._name(path), path.open("rb"), path.stat().st_size))
            else:
                self._keep(path, path.read_bytes())
            return True
        return False

    def _keep(self, path: Path, data: bytes) -> None:
        self.held.append(Held(self._name(path), io.BytesIO(data), len(data)))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.home.root).as_posix()

    @staticmethod
    def _room_for_files() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft < hard else (soft, hard))


def is_running(home: Home) -> bool:
    """Whether a coordinator has the data directory."""
    try:
        home.lock()
    except HomeInUse:
        return True
    home.unlock()
    return False


def _whole_records(file: BinaryIO) -> int:
    """How far the log goes that was written as a whole."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if not size:
        return 0
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        return max((end for _, end in unpacked(data)), default=0)  # type: ignore[arg-type]
