"""`log/` on disk: derived from the headers, written after each batch, made anew where it is missing or wrong.

append(payload)   the log grows in memory; nothing is signed
publish()         full tiles, the last tiles, the persisted highest (origin, size, root), then the checkpoint
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from coordinator import crash
from coordinator.engine.log import (
    CHECKPOINT_FILE,
    TILE_FOLDER,
    TILE_HASHES,
    Checkpoint,
    Growth,
    Hashes,
    Tile,
    hashes_of,
    narrowed,
    parse_checkpoint,
    parse_path,
    signed_note,
    tiles_of,
)
from device_client.core import cbor, merkle
from device_client.durable import replace_durably, sync_folder

from .home import Home

WAITING_MAX = 64  # full tiles in memory


class LogWriter:
    """The one who writes and signs. `sign` is asked for nothing that contradicts what it has signed before."""

    def __init__(self, home: Home, origin: str, public_key: bytes, sign: Callable[[bytes], bytes]) -> None:
        self._root = home.log
        self._highest_file = home.log_highest
        self._origin = origin
        self._public_key = public_key
        self._sign = sign
        self._growth = Growth()
        self._frontier = merkle.Frontier()
        self._waiting: list[tuple[Tile, bytes]] = []
        self._published = -1
        self._highest = _read_highest(self._highest_file)
        if self._highest.origin != origin:  # a restart: another log
            self._highest = Checkpoint(origin, 0, merkle.empty_root())
        self._agrees = self._highest.size == 0

    def append(self, payload: bytes) -> None:
        """The payload of the next header."""
        self._waiting += [one for one in self._growth.append(payload) if not _holds(self._root / one[0].path, one[1])]
        self._frontier.append(payload)
        if self._frontier.size == self._highest.size:
            self._agrees = self._frontier.root() == self._highest.root
        if len(self._waiting) > WAITING_MAX and self._agrees:
            with contextlib.suppress(OSError):  # publish tries again, and tells
                self._write_waiting()

    def publish(self) -> None:
        """Bring the files to the log as it is; the first time all of them are looked at. Raises OSError, and then the
        next call goes on; AssertionError where another log has been signed already."""
        size = self._growth.size
        if size == self._published:
            return
        highest = self._highest
        assert self._agrees and size >= highest.size, f"the log is not the one whose {highest.size} batches were signed"
        self._write_waiting()
        for tile, data in self._growth.partial():
            self._write(tile, data)
        crash.reached("mid_log")
        checkpoint = Checkpoint(self._origin, size, self._frontier.root())
        if checkpoint != highest or not self._highest_file.exists():
            replace_durably(self._highest_file, cbor.encode(list(checkpoint)))
            self._highest = checkpoint
        note = signed_note(checkpoint.text(), self._origin, self._public_key, self._sign)
        _replace(self._root.parent / CHECKPOINT_FILE, note)
        self._prune(max(highest.size, self._published))
        self._published = size

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(*self._waiting[0])
            del self._waiting[0]

    def _write(self, tile: Tile, data: bytes) -> None:
        _replace(self._root / tile.path, data)

    def _prune(self, before: int) -> None:
        """Take away last tiles that wider ones stand for, except those of the checkpoint before: somebody may be about
        to read them. The first time, take away all that is none of this log's tiles."""
        size = self._growth.size
        wanted = {*_last_tiles(size), *_last_tiles(before)}
        if self._published < 0:
            wanted.update(tiles_of(size))
            found = [(path, parse_path(path.relative_to(self._root).as_posix())) for path in self._root.rglob("*")]
            for path in [path for path, tile in found if tile is not None and tile not in wanted and path.is_file()]:
                _drop(path)
            return
        for tile in _last_tiles(size):
            folder = (self._root / tile._replace(width=1).path).parent
            for path in list(folder.iterdir()) if folder.is_dir() else ():
                if path.name.isdecimal() and tile._replace(width=int(path.name)) not in wanted:
                    _drop(path)


def _last_tiles(size: int) -> list[Tile]:
    """The last two tiles of each level: the one that grows, and the one that has just become full."""
    last: dict[int, list[Tile]] = {}
    for tile in tiles_of(size):
        last[tile.level] = [*last.get(tile.level, [])[-1:], tile]
    return [tile for of_level in last.values() for tile in of_level]


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.name.endswith(".p") and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _replace(path: Path, data: bytes) -> None:
    """A file with this content, durable with the folders that lead to it."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        sync_folder(folder.parent)
    if not _holds(path, data):
        replace_durably(path, data)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _read_highest(path: Path) -> Checkpoint:
    if not path.exists():
        return Checkpoint("", 0, merkle.empty_root())
    fields = cbor.decode(path.read_bytes())
    assert isinstance(fields, list), f"{path} is broken"
    return Checkpoint(*fields)


class LogFiles:
    """Reads of a published `log/`, while another may be writing it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def checkpoint(self) -> bytes | None:
        """The signed note, None before the first."""
        try:
            return (self._root / "checkpoint").read_bytes()
        except OSError:
            return None

    def tile(self, tile: Tile) -> bytes | None:
        """A tile or bundle of exactly this width, cut from a wider one that replaced it; None if there is none."""
        full = tile._replace(width=TILE_HASHES)
        for _ in range(2):  # what was listed may have been replaced by a wider one
            data = self._read(full.path)
            if data is not None:
                return narrowed(tile, data)
            folder = (self._root / tile._replace(width=1).path).parent
            try:
                widths = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
            except OSError:
                widths = []
            for width in widths:
                if width >= tile.width and (data := self._read(tile._replace(width=width).path)) is not None:
                    return narrowed(tile, data)
        return None

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except OSError:
            return None

    def size(self) -> int:
        """Of the newest checkpoint, -1 before the first."""
        note = self.checkpoint()
        return -1 if note is None else parse_checkpoint(note)[0].size

    def hashes(self) -> Hashes:
        def read(tile: Tile) -> bytes:
            data = self.tile(tile)
            assert data is not None, f"{TILE_FOLDER}: {tile.path} is missing"
            return data

        return hashes_of(read)
