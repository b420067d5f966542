"""Headers and seals: one form, refused when it is another; and hostile bytes end in a refusal, never in a crash."""

import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.engine import seal, wire
from coordinator.engine.beacons import unframed
from coordinator.engine.content import Content
from coordinator.engine.genesis import parse_certificates, parse_genesis
from coordinator.engine.header import FileEntry, Header, entries_of, parse_header
from coordinator.engine.packing import BadInput, unpack_owner_messages, unpack_readings, unpack_statements
from coordinator.kernel.statements import Statements
from device_client.core import cbor, cose, merkle
from tests.modules.build import row

from .published import published

hashes = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**64 - 1)
headers = st.builds(
    Header,
    counts,
    hashes,
    counts,
    counts,
    counts,
    hashes,
    counts,
    hashes,
    counts,
    hashes,
    hashes,
    st.lists(st.builds(FileEntry, st.text(max_size=9), counts, st.binary(max_size=40)), max_size=4),
    st.lists(st.tuples(st.text(max_size=9), hashes), max_size=4),
)


@given(headers)
def test_a_header_survives_the_way_through_bytes(header: Header) -> None:
    again = parse_header(header.payload())
    assert again == header and again.payload() == header.payload()


@given(headers, st.integers(0, 12))
def test_a_field_of_another_type_is_refused(header: Header, index: int) -> None:
    fields = wire.decoded(header.payload())
    for value in ("x", -1, b"", [b""], [["x"]], [7]):
        if type(value) is type(fields[index]) and value in (fields[index],):
            continue
        with pytest.raises(wire.Refused):
            parse_header(cbor.encode([*fields[:index], value, *fields[index + 1 :]]))
    with pytest.raises(wire.Refused):
        parse_header(cbor.encode(fields[:index] + fields[index + 1 :]))


def test_files_are_listed_by_name_with_size_and_hash() -> None:
    assert entries_of({"b": Content.of(b"12"), "a": Content.of(b"")}) == [
        FileEntry("a", 0, hashlib.sha256(b"").digest()),
        FileEntry("b", 2, hashlib.sha256(b"12").digest()),
    ]


def test_statements_root_has_a_leaf_for_each_device_and_boot() -> None:
    one, two, three = row(1, 1, 0), row(1, 4, 0), row(1, 2, 0, boot=2)
    leaves = [
        one.device + bytes.fromhex("00000001000000010000000400000002") + hashlib.sha256(one.id + two.id).digest(),
        one.device + bytes.fromhex("00000002000000020000000200000001") + hashlib.sha256(three.id).digest(),
    ]
    assert seal.statements_root(Statements.of([one, two, three])) == merkle.root_of(leaves)
    assert seal.statements_root(Statements.of([])) == merkle.empty_root()


def _spliced(draw: st.DrawFn, data: bytes) -> bytes:
    at = draw(st.integers(0, len(data)))
    end = draw(st.integers(at, min(len(data), at + 12)))
    return data[:at] + draw(st.binary(max_size=12)) + data[end:]


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """Random bytes, or something real with a few bytes exchanged."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    return _spliced(draw, draw(st.sampled_from(sorted(published().files.values(), key=len)[:60])))


@settings(max_examples=400, deadline=None)
@given(hostile())
@example(b"\x9b" + b"\xff" * 8)  # an array of 2^64 - 1 items
@example(b"\x5b" + b"\x7f" + b"\xff" * 7)
@example(b"\x81" * 5000 + b"\x00")
@example(b"\xd8\x23\x61\x28")  # tag 35 around a broken regular expression
@example(b"\xc2\x5a\x10\x00\x00\x00")
@example(b"\xfb" + bytes(8))
@example(b"\xa1\x81\x00\x00")  # an array as a key of a map
def test_hostile_bytes_are_refused(data: bytes) -> None:
    genesis = bytes(32)
    readers = [
        lambda: wire.envelope(data, cose.TYPE_STATEMENT, genesis),
        lambda: wire.message_parts(data),
        lambda: wire.checked_body(wire.claims(data)),
        lambda: wire.readings(data, 2),
        lambda: wire.token_body(wire.owner_message(data).body),
        lambda: parse_header(data),
        lambda: parse_genesis(data),
        lambda: parse_certificates(data, genesis, bytes(32)),
        lambda: unframed(data),
        lambda: unpack_statements(data),
        lambda: unpack_owner_messages(data),
        lambda: unpack_readings(data),
    ]
    for reader in readers:
        try:
            reader()  # type: ignore[no-untyped-call]
        except (wire.Refused, BadInput):
            continue
