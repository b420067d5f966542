"""Bitmaps of windows against plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.kernel.windows import marked, marks

indices = st.lists(st.integers(0, 3000), max_size=20)


@given(st.lists(indices, max_size=5))
def test_bitmaps_are_sets(rounds: list[list[int]]) -> None:
    bitmap, seen = b"", set[int]()
    for one in rounds:
        bitmap = marked(bitmap, one)
        seen.update(one)
        assert marks(bitmap) == len(seen)
    # One form for one set, however it came about.
    assert bitmap == marked(b"", sorted(seen, reverse=True))
    assert not bitmap.startswith(b"\0")
