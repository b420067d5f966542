"""Where an audit begins: at batch 0, or behind a snapshot of the state that the coordinator signed.

Of the batches before it only the envelope is checked: the header's signature, its place in the chain and in the log,
and the hashes of the files. Where even their folders are gone, the tiles of the log stand for their headers. The state
itself is then the coordinator's word, until somebody who has walked all of the history compares it.
"""

from typing import NamedTuple

from device_client.core import light, merkle

from .archive import Archive, Missing, Wrong, needed
from .genesis import Genesis
from .log import TILE_HASHES, Tile, tiles_of
from .snapshots import (
    MANIFEST_FILE,
    BadSnapshot,
    Manifest,
    check_manifest,
    folder_of,
    frontier_after,
    snapshot_state,
)
from .state import MemoryState
from .wire import Refused


class Start(NamedTuple):
    """`number` is the first batch that is executed."""

    number: int
    state: MemoryState
    manifest: Manifest | None


def start_before(archive: Archive, first: int, genesis: Genesis, certificates: list[light.Certificate]) -> Start:
    """Behind the newest snapshot of a batch before `first`. Raises Wrong."""
    number = max((one for one in archive.snapshots() if one < first), default=-1)
    if number < 0:
        return Start(0, MemoryState(), None)
    manifest = _manifest(archive, number, genesis, certificates)
    folder = folder_of(number)
    try:
        state = snapshot_state(manifest, lambda name: archive.read(f"{folder}/{name}"))
    except BadSnapshot as error:
        name, _, what = str(error).partition(": ")
        raise Wrong(number, f"{folder}/{name}", what) from error
    balance = sum(int(row[0]) for row in state.get("ledger", {}).get("balances", {}).values())
    if balance:
        told = f"the ledger does not balance: it sums to {balance}"
        raise Wrong(number, f"{folder}/ledger.balances.state", told, "balance")
    return Start(number + 1, state, manifest)


def check_log(manifest: Manifest, frontier: merkle.Frontier, previous: bytes) -> None:
    """A manifest speaks of this very log. Raises Wrong."""
    name = f"{folder_of(manifest.number)}/{MANIFEST_FILE}"
    if manifest.header != previous:
        raise Wrong(manifest.number, name, "is of another header than this batch has", "header")
    if frontier_after(manifest).hashes() != frontier.hashes():
        raise Wrong(manifest.number, name, "is of another log than the headers give", "frontier")


def leaves_of_tiles(archive: Archive, count: int, size: int) -> list[bytes]:
    """The hashes of the first `count` headers, out of the tiles of a log of `size`. Raises Missing."""
    found = b""
    for tile in tiles_of(size):
        if tile.level != 0 or tile.number * TILE_HASHES >= count:
            continue
        data = _tile(archive, tile)
        if data is None or len(data) < tile.width * merkle.HASH_BYTES:
            raise Missing(-1, f"log/{tile.path}", "is missing, and so are the headers that it stands for")
        found += data[: tile.width * merkle.HASH_BYTES]
    if len(found) < count * merkle.HASH_BYTES:
        raise Missing(0, "batches/0", "this batch is missing, and no tile of the log stands for it")
    return [found[at : at + merkle.HASH_BYTES] for at in range(0, count * merkle.HASH_BYTES, merkle.HASH_BYTES)]


def _tile(archive: Archive, tile: Tile) -> bytes | None:
    return archive.read(f"log/{tile.path}")


def _manifest(archive: Archive, number: int, genesis: Genesis, certificates: list[light.Certificate]) -> Manifest:
    name = f"{folder_of(number)}/{MANIFEST_FILE}"
    data = needed(archive, name, number)
    last = "no coordinator key is certified"
    for one in certificates:
        if one.role != light.ROLE_COORDINATOR:
            continue
        try:
            manifest = check_manifest(data, genesis.hash, one.public_key)
        except Refused as error:
            last = str(error)
            continue
        if manifest.number != number:
            raise Wrong(number, name, f"is of batch {manifest.number}", "number")
        return manifest
    raise Wrong(number, name, last, "signature")
