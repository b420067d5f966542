"""Rows by column against a dictionary, for keys of every kind, however often the runs are joined."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coordinator.kernel.column_rows import LATELY_PART, LATELY_ROWS, ColumnRows
from coordinator.kernel.held import Wanted, held
from coordinator.kernel.rows import MemoryRows, Overlaid, Rows, applied
from coordinator.kernel.tables import (
    BLOB,
    HASH32,
    I64,
    ID16,
    U8,
    U32,
    U64,
    Changed,
    Column,
    Key,
    Row,
    Table,
    columns_of,
)
from coordinator.modules.identity import DEVICES
from tests.kernel import oracle
from tests.kernel.oracle import after

NAMES = [bytes((n,)) * 16 for n in (0, 1, 128, 255)] + [bytes((1,)) + bytes(15), bytes((1, 2)) + bytes(14)]
NUMBERS = {U8: (0, 7, 255), U32: (0, 1, (1 << 32) - 1), U64: (0, 256, (1 << 64) - 1), I64: (-(1 << 63), -1, 0, 5)}


def column(of: Column) -> st.SearchStrategy[Any]:
    if of.type == BLOB:
        return st.sampled_from([b"", b"\0", b"a\0\0", b"long" * 9])
    if of.type == ID16:
        return st.sampled_from(NAMES)
    if of.type == HASH32:
        return st.sampled_from([bytes(32), b"\1" + bytes(31), b"\xff" * 32])
    return st.sampled_from(NUMBERS[of.type])


class Case(NamedTuple):
    table: Table
    lately_rows: int
    held: dict[Key, Row]
    deltas: list[dict[Key, Row | None]]
    asked: list[Key]
    by_column: list[bool]


VALUES = (Column("bits", BLOB), Column("code", U8), Column("place", U64), Column("sum", I64), Column("id", HASH32))
TABLES = [
    Table("one", (Column("device", ID16), *VALUES), 1),
    Table("two", (Column("device", ID16), Column("epoch", U64), *VALUES), 2),
    Table("number", (Column("boot", U32), *VALUES), 1),
    Table("kind", (Column("kind", U8), Column("holder", ID16), *VALUES), 2),
    Table("signed", (Column("device", ID16), Column("at", I64), Column("code", U8), *VALUES), 3),
]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    table = draw(st.sampled_from(TABLES))
    keys = st.tuples(*(column(one) for one in table.columns[: table.key]))
    rows = st.tuples(*(column(one) for one in table.columns[table.key :]))
    deltas = draw(st.lists(st.dictionaries(keys, st.none() | rows, max_size=8), max_size=5))
    return Case(
        table,
        draw(st.sampled_from([0, 2, LATELY_ROWS])),
        draw(st.dictionaries(keys, rows, max_size=12)),
        deltas,
        draw(st.lists(keys, max_size=4)),
        draw(st.lists(st.booleans(), min_size=len(deltas), max_size=len(deltas))),
    )


def same(rows: Rows, expected: Mapping[Key, Row], asked: list[Key], table: Table) -> None:
    oracle.same(rows, expected, asked, (b"none",) * table.key)


def same_in_bulk(rows: ColumnRows | Overlaid, expected: Mapping[Key, Row], asked: list[Key], table: Table) -> None:
    firsts = sorted({key[0] for key in [*expected, *asked][::2]} | {key[0] for key in asked})
    plain = MemoryRows(expected)
    numbers = list(range(len(table.columns)))
    assert rows.among(firsts, numbers) == plain.among(firsts, numbers)
    assert rows.among(firsts, numbers[1:3]) == plain.among(firsts, numbers[1:3])
    small = [at for at in numbers if table.columns[at].name not in ("place", "epoch")]
    which, columns = rows.columns_among(firsts, table, small)
    expected_which, expected_columns = plain.columns_among(firsts, table, small)
    assert which.tolist() == expected_which.tolist()
    for ours, theirs in zip(columns, expected_columns, strict=True):
        assert type(ours) is type(theirs) and list(ours) == list(theirs)
        assert isinstance(ours, list) or ours.dtype == np.int64


@settings(max_examples=400, deadline=None)
@given(cases())
def test_columns_say_what_a_dictionary_would(case: Case) -> None:
    expected = dict(case.held)
    rows = ColumnRows(case.table, case.held, case.lately_rows)
    same(rows, expected, case.asked, case.table)
    for changes, by_column in zip(case.deltas, case.by_column, strict=True):
        delta: Changed = columns_of(case.table, changes) if by_column else changes
        over = Overlaid(rows, changes)
        same(over, after(expected, changes), case.asked, case.table)
        same_in_bulk(over, after(expected, changes), case.asked, case.table)
        same(applied({"t": rows}, {"t": delta})["t"], after(expected, changes), case.asked, case.table)
        same(rows, expected, case.asked, case.table)
        rows.change(delta)
        expected = after(expected, changes)
        assert dict(delta) == changes, "what was taken over belongs to whoever gave it"
        same(rows, expected, [*case.asked, *changes], case.table)
        same_in_bulk(rows, expected, [*case.asked, *changes], case.table)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_what_was_read_stays_when_rows_change(case: Case) -> None:
    rows = ColumnRows(case.table, case.held, case.lately_rows)
    firsts = sorted({key[0] for key in case.held})
    which, columns = rows.columns_among(firsts, case.table, [0])
    before = which.tolist(), list(columns[0])
    for changes in case.deltas:
        rows.change(changes)
    assert (which.tolist(), list(columns[0])) == before


def test_numbers_that_are_not_asked_for_may_be_beyond_int64() -> None:
    row = (bytes(32), bytes(16), bytes(32), 3, 60, 1, (1 << 64) - 1, b"\x80", 2, 0)
    rows = ColumnRows(DEVICES, {(bytes(16),): row})
    found = held(Wanted(DEVICES, ("interval_s", "standing")), rows, [bytes(16)])
    assert found.device.tolist() == [0]
    assert {name: values.tolist() for name, values in found.columns.items()} == {"interval_s": [60], "standing": [2]}
    assert rows[(bytes(16),)] == row
    for kind in (rows, MemoryRows(dict(rows))):
        with pytest.raises(OverflowError):
            held(Wanted(DEVICES, ("place",)), kind, [bytes(16)])


@example(b"\0" * 16)
@given(st.sampled_from(NAMES))
def test_devices_are_asked_for_as_a_list_or_as_a_column(name: bytes) -> None:
    table = TABLES[1]
    row = (b"", 1, 2, 3, bytes(32))
    rows = ColumnRows(table, {(name, epoch): row for epoch in range(3)})
    devices = sorted({*NAMES[:2], name})
    listed = held(Wanted(table, ("epoch",)), rows, devices)
    by_column = held(Wanted(table, ("epoch",)), rows, np.frombuffer(b"".join(devices), "V16"))
    assert listed.device.tolist() == by_column.device.tolist() == [devices.index(name)] * 3
    assert listed.columns["epoch"].tolist() == by_column.columns["epoch"].tolist() == [0, 1, 2]


def test_a_row_that_the_table_does_not_hold_changes_nothing() -> None:
    table = Table("t", (Column("device", ID16), Column("code", U8)), 1)
    rows = ColumnRows(table, {(bytes(16),): (1,)})
    for key, row in (((bytes(16),), (256,)), ((bytes(15),), (1,)), ((b"\1" * 16,), (b"1",))):
        with pytest.raises((OverflowError, AssertionError)):
            rows.change({(bytes(16),): (2,), key: row})  # type: ignore[dict-item]
        assert dict(rows) == {(bytes(16),): (1,)}


def test_few_changes_of_many_rows_do_not_join_the_runs() -> None:
    table = Table("t", (Column("number", U32), Column("code", U8)), 1)
    count = 4096
    rows = ColumnRows(table, {(2 * at,): (1,) for at in range(count)}, 0)
    large = rows._held
    for at in range(count // LATELY_PART):
        rows.change({(2 * at + 1,): (2,), (2 * at,): (3,)})
    assert rows._held is large and len(rows) == count + count // LATELY_PART
    rows.change({(1 + 2 * count,): (2,)})
    assert rows._held is not large and not len(rows._lately)
    assert [row for _, row in rows.under(())][:3] == [(3,), (2,), (3,)]
