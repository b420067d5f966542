"""Snapshots that an auditor passes are held against the state that the batches give."""

from collections.abc import Iterator

import pytest

from coordinator.engine.archive import Wrong
from coordinator.engine.reexecution import Reexecution, Source
from coordinator.engine.snapshots import (
    MANIFEST_FILE,
    TABLES,
    folder_of,
    frontier_after,
    manifest_of,
    parse_manifest,
    snapshot_state,
    written,
)
from coordinator.engine.state import MemoryState
from device_client.core import cose, merkle
from tests.engine.published import MemoryArchive, Published, published, signer_of


def _with_snapshots(net: Published) -> dict[str, bytes]:
    """What was published, with the snapshot of each batch that closed an epoch."""
    files = dict(net.files)
    certificate = net.certificates
    source = Source(MemoryArchive(net.files), net.genesis, certificate, net.beacons)
    again, frontier = Reexecution(source), merkle.Frontier()
    for one in again.batches(len(MemoryArchive(net.files).batches())):
        number = one.header.number
        frontier.append(one.header.payload())
        if not net.genesis.parameters.calendar.closing(one.header.first_slot, one.header.last_slot):
            continue
        state = MemoryState(again.state)
        state.advance(number, {name: effects.delta for name, effects in one.effects.items()}, {})
        files.update(_published(net, number, source.header(number)[1], frontier, state))
    return files


def _published(
    net: Published, number: int, header: bytes, frontier: merkle.Frontier, state: MemoryState
) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    folder = folder_of(number)

    def write(name: str, parts: Iterator[bytes]) -> None:
        made[f"{folder}/{name}"] = b"".join(parts)

    manifest = manifest_of(number, header, frontier, written(state, write))
    made[f"{folder}/{MANIFEST_FILE}"] = net.signer.envelope(cose.TYPE_MANIFEST, manifest.payload())
    return made


def _resigned(net: Published, files: dict[str, bytes], name: str) -> bytes:
    """With the hashes of another log."""
    manifest = parse_manifest(cose.unwrap(files[name]).payload)
    other = manifest._replace(frontier=[bytes(32)] * len(manifest.frontier))
    return net.signer.envelope(cose.TYPE_MANIFEST, other.payload())


def test_snapshots_on_the_way_are_held_against_the_batches() -> None:
    net = published()
    files = _with_snapshots(net)
    manifests = [name for name in files if name.endswith(MANIFEST_FILE)]
    assert len(manifests) >= 2
    net.audit(files)
    name, other = manifests[-1], manifests[0]
    folder = name.removesuffix(MANIFEST_FILE)
    table = f"{folder}ledger.balances.state"
    wrong = {
        (name, "is of another batch"): {name: files[other]},
        (name, "not signed by the coordinator"): {
            name: signer_of(b"\1" * 32, net.genesis_hash).envelope("manifest", b"\x80")
        },
        (name, "its log is not"): {name: _resigned(net, files, name)},
        (table, "is missing"): {table: None},
        (table, "does not have the hash"): {table: files[table] + b"\0"},
    }
    for (file, what), change in wrong.items():
        changed = {key: data for key, data in {**files, **change}.items() if data is not None}
        with pytest.raises(Wrong, match=what) as raised:
            net.audit(changed)
        assert raised.value.file == file


def test_a_coordinator_that_signs_another_state_is_found() -> None:
    """Each table in turn, one row of it changed, left out or added, under a good signature."""
    net = published()
    files = _with_snapshots(net)
    name = next(name for name in files if name.endswith(MANIFEST_FILE))
    manifest = parse_manifest(cose.unwrap(files[name]).payload)
    frontier, folder = frontier_after(manifest), folder_of(manifest.number)
    for entry in manifest.files:
        module, table = TABLES[entry.name]
        state = snapshot_state(manifest, lambda name: files.get(f"{folder}/{name}"))
        key = min(state[module][table.name])
        state.advance(0, {module: {table.name: {key: None}}}, {})
        forged = _published(net, manifest.number, manifest.header, frontier, state)
        kept = {name: data for name, data in files.items() if not name.startswith(f"{folder}/")}
        with pytest.raises(Wrong, match=f"table {table.name} of {module} is not what the batches give") as raised:
            net.audit({**kept, **forged})
        assert raised.value.file == f"{folder}/{entry.name}"
