"""Rows as bytes and back, the one encoding of a state change, and applying it."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import wire
from coordinator.kernel.rows import applied
from coordinator.kernel.tables import (
    HASH32,
    I64,
    ID16,
    ROWS_A_CALL,
    U8,
    U32,
    U64,
    Column,
    Delta,
    Row,
    Table,
    TableState,
    encode_delta,
    encode_rows,
)
from device_client.core import cbor

VALUES = {
    U8: st.integers(0, 2**8 - 1),
    U32: st.integers(0, 2**32 - 1),
    U64: st.integers(0, 2**64 - 1),
    I64: st.integers(-(2**63), 2**63 - 1),
    ID16: st.binary(min_size=16, max_size=16),
    HASH32: st.binary(min_size=32, max_size=32),
}
column_types = st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=6)


@st.composite
def tables_with_rows(draw: st.DrawFn) -> tuple[Table, list[Row]]:
    types = draw(column_types)
    table = Table("t", tuple(Column(f"c{index}", kind) for index, kind in enumerate(types)))
    return table, draw(st.lists(st.tuples(*(VALUES[kind] for kind in types)), max_size=8))


@given(tables_with_rows())
def test_rows_survive_the_way_through_bytes(given_rows: tuple[Table, list[Row]]) -> None:
    table, rows = given_rows
    data = table.pack(rows)
    assert table.unpack(data) == rows
    assert len(data) == len(rows) * table.row_struct.size


@given(tables_with_rows(), st.integers(1, 200))
def test_half_a_row_is_an_error(given_rows: tuple[Table, list[Row]], extra: int) -> None:
    table, rows = given_rows
    if extra % table.row_struct.size:
        with pytest.raises(ValueError, match=r"t: .* are not whole rows"):
            table.unpack(table.pack(rows) + bytes(extra))


def test_rows_are_big_endian_and_nothing_wraps() -> None:
    table = Table("t", (Column("a", U32), Column("b", I64)))
    assert table.pack([(1, -2)]) == bytes((0, 0, 0, 1)) + b"\xff" * 7 + b"\xfe"
    with pytest.raises(struct.error):
        table.pack([(2**32, 0)])


keys = st.tuples(st.binary(max_size=3), st.integers(0, 5))
rows = st.tuples(st.integers(-5, 5) | VALUES[I64] | VALUES[U64], st.binary(max_size=3))
states = st.dictionaries(st.sampled_from("abc"), st.dictionaries(keys, rows, max_size=5))
deltas = st.dictionaries(st.sampled_from("abcd"), st.dictionaries(keys, rows | st.none(), max_size=5))


@settings(max_examples=200)
@given(states, deltas)
def test_a_delta_sets_and_deletes_rows_and_nothing_else(state: TableState, delta: Delta) -> None:
    frozen = {name: dict(held) for name, held in state.items()}
    after = applied(state, delta)
    for name in "abcd":
        for key in {*state.get(name, {}), *delta.get(name, {})}:
            changed = key in delta.get(name, {})
            expected = delta[name][key] if changed else state[name][key]
            assert after.get(name, {}).get(key) == expected
    assert state == frozen


@settings(max_examples=200)
@given(deltas, st.randoms(use_true_random=False))
def test_one_encoding_whatever_the_order_of_insertion(delta: Delta, random: object) -> None:
    shuffled: Delta = {}
    names = list(delta)
    random.shuffle(names)  # type: ignore[attr-defined]
    for name in names:
        changes = list(delta[name].items())
        random.shuffle(changes)  # type: ignore[attr-defined]
        shuffled[name] = dict(changes)
    assert encode_delta(shuffled) == encode_delta(delta)
    ordered = [[name, sorted(changes.items())] for name, changes in sorted(delta.items()) if changes]
    assert encode_delta(delta) == cbor.encode([[name, [[k, v or []] for k, v in rows]] for name, rows in ordered])
    # It says everything: what is decoded is the same change, without the tables in which nothing happened.
    decoded = {
        name: {tuple(key): tuple(row) if row else None for key, row in changes}
        for name, changes in wire.decoded(encode_delta(delta))
    }
    assert decoded == {name: changes for name, changes in delta.items() if changes}


@pytest.mark.parametrize("count", [0, 1, 23, 24, ROWS_A_CALL - 1, ROWS_A_CALL, ROWS_A_CALL + 1, 3 * ROWS_A_CALL])
def test_an_array_in_parts_is_the_array(count: int) -> None:
    rows = [((index.to_bytes(3, "big"), index), (-index, b"")) for index in range(count)]
    assert encode_rows(rows) == cbor.encode(rows)


@pytest.mark.parametrize("value", [2**64, -(2**64) - 1, True, 1.5, None, "text", (1,)])
def test_what_the_wire_cannot_say_has_no_place_in_a_row(value: object) -> None:
    for changes in ({(b"k",): (value,)}, {(value,): (1,)}):
        with pytest.raises(AssertionError, match="no encoding"):
            encode_delta({"t": changes})  # type: ignore[dict-item]
