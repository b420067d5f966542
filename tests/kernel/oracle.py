"""What every kind of rows must answer, by the dictionary that holds the same: keys are (device, number)."""

from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from coordinator.kernel.rows import Rows
from coordinator.kernel.tables import Key, Row

KEYS = st.tuples(st.sampled_from([bytes((n,)) * 16 for n in (0, 1, 127, 128, 255)]), st.integers(0, 4))
CHANGES = st.dictionaries(KEYS, st.none() | st.tuples(st.integers(0, 9)), max_size=8)


def after(held: Mapping[Key, Row], changes: Mapping[Key, Row | None]) -> dict[Key, Row]:
    return {key: row for key, row in {**held, **changes}.items() if row is not None}


def same(rows: Rows, expected: Mapping[Key, Row], asked: Iterable[Key], absent: Key = (bytes(16), 99)) -> None:
    wanted = list(dict.fromkeys([*expected, *asked, absent]))
    assert [rows.get(key) for key in wanted] == [expected.get(key) for key in wanted]
    assert [rows.get(key, (-1,)) for key in wanted] == [expected.get(key, (-1,)) for key in wanted]
    assert [key in rows for key in wanted] == [key in expected for key in wanted]
    assert all(rows[key] == row for key, row in expected.items())
    assert list(rows.each(wanted)) == [(key, expected.get(key)) for key in wanted]
    in_order = sorted(expected.items())
    assert list(rows.items()) == in_order and list(rows) == [key for key, _ in in_order]
    assert list(rows.values()) == [row for _, row in in_order]
    assert len(rows) == len(expected) and rows == expected
    assert list(rows.under(())) == in_order
    for key in wanted:
        for prefix in (key[:1], key):
            assert list(rows.under(prefix)) == [one for one in in_order if one[0][: len(prefix)] == prefix]
        for column, value in enumerate(key):
            assert list(rows.having(column, value)) == [one for one in in_order if one[0][column] == value]
