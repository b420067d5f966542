"""The files of a batch and back; and what is measured does not depend on how reports fall into batches."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.measuring import Declared, Memories, measured
from coordinator.engine.packing import (
    BadInput,
    pack_owner_messages,
    pack_readings,
    pack_statements,
    sorted_refusals,
    unpack_owner_messages,
    unpack_readings,
    unpack_statements,
)
from coordinator.modules import sensing
from device_client.core import cbor
from tests.modules.build import device_id, row

UNITS = {"Cel": ("Cel", -60_000, 130_000, 20_000, 3)}
DECLARED = {device_id(index): Declared([["t", "Cel", 0]], True) for index in range(2)}
envelopes = st.lists(st.binary(min_size=1, max_size=30), max_size=6)


@given(envelopes, st.data())
def test_frames_survive_the_way_through_a_file(found: list[bytes], data: st.DataObject) -> None:
    rows = [row(1, index + 1, slot=index * 3) for index in range(len(found))]
    statements, owner = bytes(pack_statements(rows, found)), pack_owner_messages(found)
    assert unpack_statements(statements) == [(one.slot, data) for one, data in zip(rows, found, strict=True)]
    assert unpack_owner_messages(owner) == found
    readings = {index * 2: (bytes(16), data) for index, data in enumerate(found)}
    assert unpack_readings(pack_readings(readings)) == readings
    for packed, unpack in ((statements, unpack_statements), (owner, unpack_owner_messages)):
        if packed:
            with pytest.raises(BadInput):
                unpack(packed[: data.draw(st.integers(len(packed) - len(found[-1]) - 3, len(packed) - 1))])


def test_readings_out_of_order_are_refused() -> None:
    one, two = pack_readings({1: (bytes(16), b"x")}), pack_readings({2: (bytes(16), b"x")})
    for data in (two + one, one + one):
        with pytest.raises(BadInput, match="out of order"):
            unpack_readings(data)


values = st.sampled_from([5, 5, 5, 6, 40, 131])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), values), max_size=20), st.sets(st.integers(0, 20)))
def test_batches_do_not_change_what_is_measured(said: list[tuple[int, int]], cuts: set[int]) -> None:
    rows = [row(device, seq, 0) for seq, (device, _) in enumerate(said, start=1)]
    encoded = [cbor.encode([[0, value]]) for _, value in said]
    whole = measured(rows, {i: (bytes(16), one) for i, one in enumerate(encoded)}, DECLARED, {}, UNITS)
    memories: Memories = {}
    codes: list[int] = []
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for first, end in pairwise(bounds):
        readings = {i: (bytes(16), one) for i, one in enumerate(encoded[first:end])}
        part = measured(rows[first:end], readings, DECLARED, memories, UNITS)
        codes += part.codes
        memories.update(part.memories)
    assert (codes, memories) == (whole.codes, whole.memories)


def test_what_cannot_be_read_is_a_fault_of_the_report_and_what_is_missing_makes_a_device_unknown() -> None:
    rows = [row(0, 1, 0), row(0, 2, 0), row(1, 1, 0), row(9, 1, 0)]
    found = measured(rows, {0: (bytes(16), b"\xff"), 1: (bytes(16), cbor.encode([[0, 5]]))}, DECLARED, {}, UNITS)
    codes = [sensing.BAD_READINGS, sensing.MEASURED, sensing.NOTHING_MEASURED, sensing.NOTHING_MEASURED]
    assert (found.codes, found.unknown) == (codes, {device_id(1)})


def test_refusals_stand_once_and_in_order() -> None:
    assert sorted_refusals([(2, 1), (1, 9), (2, 1)]) == [(1, 9), (2, 1)]
