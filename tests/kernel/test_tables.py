"""Rows as bytes and back, the one encoding of a state change, and applying it."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.rows import applied
from coordinator.kernel.tables import (
    BLOB,
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
    columns_of,
    decode_delta,
    deleted_keys,
    encode_delta,
    encode_rows,
    rows_set,
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


STATE = tuple(
    Table(name, (Column("k", ID16), Column("n", U32), Column("v", I64), Column("b", BLOB), Column("w", U64)), 2)
    for name in "abcd"
)
whole_keys = st.tuples(VALUES[ID16], VALUES[U32])
whole_rows = st.tuples(VALUES[I64], st.binary(max_size=5), VALUES[U64])
whole_deltas = st.dictionaries(st.sampled_from("abcd"), st.dictionaries(whole_keys, whole_rows | st.none(), max_size=5))


def encoded_by_hand(delta: Delta) -> bytes:
    """As the reference says it, value by value."""
    found: list[object] = []
    for name, changes in sorted(delta.items()):
        kept = [key + row for key, row in sorted(changes.items()) if row is not None]
        gone = sorted(key for key, row in changes.items() if row is None)
        columns = [
            b"".join(row[0] for row in kept),
            b"".join(row[1].to_bytes(4, "big") for row in kept),
            b"".join(row[2].to_bytes(8, "big", signed=True) for row in kept),
            b"".join(len(row[3]).to_bytes(4, "big") for row in kept) + b"".join(row[3] for row in kept),
            b"".join(row[4].to_bytes(8, "big") for row in kept),
        ]
        keys = [b"".join(key[0] for key in gone), b"".join(key[1].to_bytes(4, "big") for key in gone)] if gone else []
        if changes:
            found.append([name, len(kept), columns, len(gone), keys])
    return cbor.encode(found)


@settings(max_examples=200)
@given(whole_deltas, st.randoms(use_true_random=False))
def test_one_encoding_whatever_the_order_of_insertion(delta: Delta, random: object) -> None:
    shuffled = {}
    names = list(delta)
    random.shuffle(names)  # type: ignore[attr-defined]
    for name in names:
        changes = list(delta[name].items())
        random.shuffle(changes)  # type: ignore[attr-defined]
        shuffled[name] = dict(changes)
    assert encode_delta(shuffled, STATE) == encode_delta(delta, STATE[::-1]) == encoded_by_hand(delta)
    by_column = {table.name: columns_of(table, delta[table.name]) for table in STATE if table.name in delta}
    assert encode_delta(by_column, STATE) == encode_delta(delta, STATE)
    # It says everything: what is decoded is the same change, without the tables in which nothing happened.
    decoded = decode_delta(encode_delta(delta, STATE), STATE)
    changed = {name: changes for name, changes in delta.items() if changes}
    assert {name: dict(changes) for name, changes in decoded.items()} == changed
    for name, changes in decoded.items():
        assert sorted(deleted_keys(changes)) == sorted(key for key, row in delta[name].items() if row is None)
        assert sorted(rows_set(changes)) == sorted(key + row for key, row in delta[name].items() if row is not None)
        assert len(changes) == len(delta[name])


def test_a_change_of_a_table_that_nobody_declared_is_a_fault() -> None:
    with pytest.raises(AssertionError, match="nobody declared"):
        encode_delta({"x": {}}, STATE)


@pytest.mark.parametrize("count", [0, 1, 23, 24, ROWS_A_CALL - 1, ROWS_A_CALL, ROWS_A_CALL + 1, 3 * ROWS_A_CALL])
def test_an_array_in_parts_is_the_array(count: int) -> None:
    rows = [((index.to_bytes(3, "big"), index), (-index, b"")) for index in range(count)]
    assert encode_rows(rows) == cbor.encode(rows)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, True, 1.5, None, "text", (1,), b"k"])
def test_what_a_column_cannot_say_has_no_place_in_a_row(value: object) -> None:
    table = Table("t", (Column("k", U64), Column("v", I64)), 1)
    for changes in ({(1,): (value,)}, {(value,): (1,)}):
        with pytest.raises((AssertionError, OverflowError)):
            encode_delta({"t": changes}, [table])  # type: ignore[dict-item]
    with pytest.raises(AssertionError, match="another width"):
        encode_delta({"t": {(b"short",): (1,)}}, [Table("t", (Column("k", ID16), Column("v", I64)), 1)])
