"""The byte form of a snapshot: one for each state, and nothing else is taken for one."""

import struct

import cbor2
import nacl.signing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.snapshots import (
    ROWS_A_CHUNK,
    TABLES,
    BadSnapshot,
    Manifest,
    check_manifest,
    chunks,
    difference,
    frontier_after,
    manifest_of,
    parse_manifest,
    rows_in,
    snapshot_state,
    written,
)
from coordinator.engine.state import MemoryState
from coordinator.engine.wire import Refused
from coordinator.kernel.tables import BLOB, Column, Key, Row, Table
from device_client.core import cbor, cose, merkle
from tests.engine.published import published, signer_of

TABLE = Table("things", (Column("id", "16s"), Column("epoch", "Q"), Column("owed", "q"), Column("blob", BLOB)), 2)


def things(count: int) -> list[tuple[Key, Row]]:
    return [((struct.pack(">QQ", 0, n // 3), n), (n - 5, bytes(n % 7))) for n in range(count)]


def snapshot(state: MemoryState, number: int = 0) -> tuple[Manifest, dict[str, bytes]]:
    files: dict[str, bytes] = {}

    def write(name: str, made: object) -> None:
        files[name] = b"".join(made)  # type: ignore[arg-type]

    frontier = merkle.Frontier()
    for index in range(number + 1):
        frontier.append(b"header %d" % index)
    return manifest_of(number, bytes(32), frontier, written(state, write)), files


@pytest.mark.parametrize("count", [0, 1, ROWS_A_CHUNK - 1, ROWS_A_CHUNK, ROWS_A_CHUNK + 1, 2 * ROWS_A_CHUNK])
def test_rows_come_back_in_whole_chunks(count: int) -> None:
    made = list(chunks(iter(things(count))))
    assert len(made) == -(-count // ROWS_A_CHUNK)
    assert list(rows_in(TABLE, b"".join(made))) == things(count)


@given(st.data())
def test_bytes_that_are_taken_are_the_one_form(data: st.DataObject) -> None:
    """Whatever is done to the bytes: refused, or rows whose bytes they are."""
    whole = bytearray(b"".join(chunks(iter(things(5)))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        found = list(rows_in(TABLE, bytes(whole)))
    except BadSnapshot:
        return
    assert b"".join(chunks(iter(found))) == whole


def _chunk(rows: object) -> bytes:
    encoded = cbor2.dumps(rows)
    return struct.pack(">I", len(encoded)) + encoded


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\0", "bytes behind"),
        (struct.pack(">I", 2**31), "impossible length"),
        (struct.pack(">I", 0), "impossible length"),
        (_chunk([]), "not an array of rows"),
        (_chunk({}), "not an array of rows"),
        (_chunk([1]), "not an array of rows"),
        (_chunk([[bytes(16), 0, 0]]), "other columns"),
        (_chunk([[bytes(15), 0, 0, b""]]), "column id"),
        (_chunk([[bytes(16), -1, 0, b""]]), "column epoch"),
        (_chunk([[bytes(16), True, 0, b""]]), "column epoch"),
        (_chunk([[bytes(16), 0, 2**63, b""]]), "column owed"),
        (_chunk([[bytes(16), 0, 0, "text"]]), "column blob"),
        (_chunk([[bytes(16), 1, 0, b""], [bytes(16), 1, 0, b""]]), "order of their keys"),
        (_chunk([[bytes(16), 1, 0, b""]]) + _chunk([[bytes(16), 2, 0, b""]]), "behind its last rows"),
    ],
)
def test_what_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(BadSnapshot, match=what):
        list(rows_in(TABLE, data))


def test_a_network_in_a_snapshot_and_back() -> None:
    net = published()
    state = net.audit(net.files).state
    assert isinstance(state, MemoryState)
    manifest, files = snapshot(state)
    assert {"identity.devices.state", "ledger.balances.state"} <= files.keys()
    again = snapshot_state(manifest, files.get)
    for module, table in TABLES.values():
        held = state.get(module, {}).get(table.name, {})
        assert dict(again.get(module, {}).get(table.name, {})) == dict(held)
    assert difference(manifest, again) == "" == difference(manifest, state)
    # Each file matters, and is named.
    for name in files:
        with pytest.raises(BadSnapshot, match=f"{name}: is missing"):
            snapshot_state(manifest, {**files, name: None}.get)
        with pytest.raises(BadSnapshot, match=f"{name}: does not have the hash"):
            snapshot_state(manifest, {**files, name: files[name] + b"\0"}.get)
        module, table = TABLES[name]
        key = min(again[module][table.name])
        other = snapshot_state(manifest, files.get)
        other.advance(0, {module: {table.name: {key: None}}}, {})
        assert difference(manifest, other) == name


def test_a_manifest_is_signed_as_one() -> None:
    net = published()
    key = b"\7" * 32
    signer = signer_of(key, net.genesis_hash)
    public_key = nacl.signing.SigningKey(key).verify_key
    manifest, _ = snapshot(MemoryState(), 6)
    data = signer.envelope(cose.TYPE_MANIFEST, manifest.payload())
    assert check_manifest(data, net.genesis_hash, bytes(public_key)) == manifest
    with pytest.raises(Refused):
        check_manifest(data, bytes(32), bytes(public_key))
    with pytest.raises(Refused):
        check_manifest(signer.envelope(cose.TYPE_HEADER, manifest.payload()), net.genesis_hash, bytes(public_key))


def test_the_log_goes_on_from_the_frontier() -> None:
    whole = merkle.Frontier()
    for number in range(70):
        whole.append(b"header %d" % number)
        resumed = frontier_after(manifest_of(number, bytes(32), whole, []))
        for more in range(3):
            resumed.append(b"more %d" % more)
        other = merkle.Frontier()
        for index in range(number + 1):
            other.append(b"header %d" % index)
        for more in range(3):
            other.append(b"more %d" % more)
        assert (resumed.size, resumed.root()) == (other.size, other.root())


ENTRY = ["ledger.balances.state", 5, bytes(32)]


@pytest.mark.parametrize(
    "fields",
    [
        [0, bytes(32), [bytes(32)]],
        [0, bytes(31), [bytes(32)], []],
        [-1, bytes(32), [], []],
        [0, bytes(32), [], []],
        [2, bytes(32), [bytes(32)], []],
        [0, bytes(32), [b""], []],
        [0, bytes(32), [bytes(32)], [ENTRY, ENTRY]],
        [0, bytes(32), [bytes(32)], [ENTRY, ["identity.devices.state", 5, bytes(32)]]],
        [0, bytes(32), [bytes(32)], [["../../etc/passwd", 5, bytes(32)]]],
        [0, bytes(32), [bytes(32)], [["ledger.balances.state", 0, bytes(32)]]],
        [0, bytes(32), [bytes(32)], [["ledger.balances.state", 5, b""]]],
        [0, bytes(32), [bytes(32)], [["ledger.balances.state", 5]]],
        [0, bytes(32), [bytes(32)], [7]],
    ],
)
def test_manifests_that_are_refused(fields: list[object]) -> None:
    parse_manifest(cbor.encode([0, bytes(32), [bytes(32)], [ENTRY]]))
    with pytest.raises(Refused):
        parse_manifest(cbor.encode(fields))
