"""Rows against a dictionary: in memory, and under changes laid over each other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.rows import EACH_ROWS, MemoryRows, Overlaid, Rows, applied, rows_of
from coordinator.kernel.tables import Key, Row
from tests.kernel.oracle import CHANGES, KEYS, after, same

HELD = st.dictionaries(KEYS, st.tuples(st.integers(0, 9)), max_size=12)


@settings(max_examples=200)
@given(HELD, st.lists(CHANGES, max_size=4), st.lists(KEYS, max_size=5))
def test_overlays_say_what_a_dictionary_would(
    held: dict[Key, Row], deltas: list[dict[Key, Row | None]], asked: list[Key]
) -> None:
    frozen, expected = dict(held), dict(held)
    rows: Rows = MemoryRows(held)
    state = {"t": rows}
    same(rows, expected, asked)
    for changes in deltas:
        expected = after(expected, changes)
        rows = Overlaid(rows, changes)
        same(rows, expected, asked)
        state = applied(state, {"t": changes})
        same(state["t"], expected, asked)
    assert held == frozen


@settings(max_examples=200)
@given(HELD, st.lists(CHANGES, max_size=4), st.lists(KEYS, max_size=5))
def test_rows_that_are_changed_say_what_a_dictionary_would(
    held: dict[Key, Row], deltas: list[dict[Key, Row | None]], asked: list[Key]
) -> None:
    expected = dict(held)
    rows = MemoryRows(dict(held))
    for changes in deltas:
        rows.change(changes)
        expected = after(expected, changes)
        same(rows, expected, asked)


def test_a_table_that_is_not_there_yet_is_empty() -> None:
    assert not list(rows_of({}, "t").items()) and len(rows_of({"t": {}}, "t")) == 0
    assert applied({}, {"t": {(1,): (2,)}}) == {"t": {(1,): (2,)}}


def test_many_keys_are_asked_for_a_bounded_number_at_a_time() -> None:
    class Asked(MemoryRows):
        def each(self, keys):  # type: ignore[no-untyped-def]
            wanted = list(keys)
            assert len(wanted) <= EACH_ROWS
            return super().each(wanted)

    count = 3 * EACH_ROWS
    rows = Overlaid(Asked({(number, 7): (number,) for number in range(count)}), {(0, 7): None, (1, 7): (-1,)})
    assert [row for _, row in rows.each((number, 7) for number in range(count))][:3] == [None, (-1,), (2,)]
