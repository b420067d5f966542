"""The auditor's look at `log/`: every tile and the checkpoint against the headers. A folder without `log/` has none."""

from collections.abc import Sequence

from device_client.core import merkle

from . import diagnose_folder, wire
from .archive import Archive, Wrong
from .audit_network import NetworkAudit
from .log import (
    BUNDLE,
    CHECKPOINT_FILE,
    HEIGHT,
    TILE_HASHES,
    BadNote,
    Tile,
    entries,
    opened_checkpoint,
    parse_checkpoint,
    parse_path,
    subtree,
    tiles_of,
)
from .repair import attempted

PREFIX = "log/"
TRIES = 3  # a running coordinator replaces the last tiles with every batch


class LogAudit:
    """What `log/` holds is read first: the headers that it speaks of are all there afterwards."""

    def __init__(self, archive: Archive) -> None:
        self._tiles: dict[Tile, bytes] = {}  # of a bundle, the hashes of its entries
        self._wrong: Wrong | None = None  # told after the batches: they come first
        self._leaves = bytearray()
        for _ in range(TRIES):
            self._checkpoint = archive.read(CHECKPOINT_FILE)
            self._wrong = self._read(archive)
            if archive.read(CHECKPOINT_FILE) == self._checkpoint:
                return

    def _read(self, archive: Archive) -> Wrong | None:
        self._tiles.clear()
        wrong: Wrong | None = None
        for name in archive.log_files():
            if name == CHECKPOINT_FILE:
                continue
            tile = parse_path(name.removeprefix(PREFIX))
            if tile is None:
                wrong = wrong or Wrong(-1, name, "no tile of the log has this name")
                continue
            data = archive.read(name)
            if data is None:
                continue  # gone since it was listed; missed below if it is needed
            if tile.level == BUNDLE:
                try:
                    data = b"".join(map(merkle.leaf_hash, entries(data)))
                except ValueError as error:
                    wrong = wrong or Wrong(-1, name, str(error))
                    continue
            self._tiles[tile] = data
        return wrong

    def take(self, leaf: bytes) -> None:
        """The hash of the next header, verified."""
        self._leaves += leaf

    @property
    def checkpoint(self) -> bytes | None:
        """The note as it was read."""
        return self._checkpoint

    @property
    def size(self) -> int:
        """Of the log that the checkpoint names; not checked yet. 0 without one."""
        try:
            return parse_checkpoint(self._checkpoint or b"")[0].size
        except BadNote:
            return 0

    def check(self, network: NetworkAudit, roots: Sequence[bytes]) -> None:
        """After the last batch; `roots` by size. Raises Wrong."""
        if self._wrong is not None:
            raise self._wrong
        if self._checkpoint is None:
            if self._tiles:
                raise Wrong(-1, CHECKPOINT_FILE, "is missing, though there are tiles")
            return
        keys = network.coordinator_keys
        try:
            checkpoint = opened_checkpoint(self._checkpoint, network.origins, keys, wire.signature_holds)
        except BadNote as error:
            fault = attempted(
                diagnose_folder.checkpoint, self._checkpoint, network.genesis, network.incarnations, keys, roots
            )
            field, told = (fault.field, fault.what) if fault else ("", str(error))
            raise Wrong(-1, CHECKPOINT_FILE, told, field) from error
        size = checkpoint.size
        if size >= len(roots):
            raise Wrong(-1, CHECKPOINT_FILE, f"names {size} batches; here are {len(roots) - 1}", "size")
        if checkpoint.root != roots[size]:
            told = f"names another root of {size} batches than their headers have"
            raise Wrong(-1, CHECKPOINT_FILE, told, "root")
        self._check_tiles(size)

    def _check_tiles(self, size: int) -> None:
        levels = [bytes(self._leaves)]
        while len(levels[-1]) >= TILE_HASHES * merkle.HASH_BYTES:
            below, step = levels[-1], merkle.HASH_BYTES << HEIGHT
            levels.append(b"".join(subtree(below[at : at + step]) for at in range(0, len(below) - step + 1, step)))
        for tile, data in sorted(self._tiles.items()):
            level = max(tile.level, 0)
            start = tile.number * TILE_HASHES * merkle.HASH_BYTES
            end = start + tile.width * merkle.HASH_BYTES
            if level >= len(levels) or data != levels[level][start:end] or len(data) != end - start:
                want = levels[level][start:end] if level < len(levels) else b""
                raise Wrong(-1, PREFIX + tile.path, "is not what the headers give", _different(tile, data, want))
        for tile in tiles_of(size):
            if tile not in self._tiles and tile._replace(width=TILE_HASHES) not in self._tiles:
                raise Wrong(-1, PREFIX + tile.path, "is missing")


def check_kept(name: str, data: bytes, network: NetworkAudit, roots: Sequence[bytes]) -> None:
    """The log must be the one of a checkpoint that was kept elsewhere, grown since; `roots` by size. Raises Wrong."""
    try:
        kept = opened_checkpoint(data, network.origins, network.coordinator_keys, wire.signature_holds)
    except BadNote as error:
        raise Wrong(-1, name, str(error)) from error
    if kept.size >= len(roots):
        raise Wrong(-1, name, f"truncated: it names {kept.size} batches, here are {len(roots) - 1}", "size")
    if kept.root != roots[kept.size]:
        told = f"forked: the coordinator signed another log of {kept.size} batches than this one"
        raise Wrong(-1, name, told, "root")


def _different(tile: Tile, have: bytes, want: bytes) -> str:
    """The first hash of a tile, or entry of a bundle, that differs."""
    width = merkle.HASH_BYTES
    pairs = zip(range(0, len(want), width), range(0, len(have), width), strict=False)
    at = next((one // width for one, other in pairs if want[one : one + width] != have[other : other + width]), None)
    if at is None:
        return "length"
    return f"entry {at}" if tile.level == BUNDLE else f"hash {at}"
