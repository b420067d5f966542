"""Bitmaps of windows against plain sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel import windows
from coordinator.kernel.windows import marked, marks, marks_of

indices = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3000) | st.integers(0, 20)), max_size=20)


@settings(max_examples=200)
@given(st.lists(indices, max_size=5), st.sampled_from([1, 4096, windows.CHUNK_BYTES]))
def test_bitmaps_are_sets(rounds: list[list[tuple[int, int]]], chunk_bytes: int) -> None:
    bitmaps, seen = [b""] * 5, [set[int]() for _ in range(5)]
    before, windows.CHUNK_BYTES = windows.CHUNK_BYTES, chunk_bytes
    try:
        for one in rounds:
            group = np.array(sorted(at for at, _ in one), np.int64)
            window = np.array([window for _, window in sorted(one, key=lambda pair: pair[0])], np.int64)
            bitmaps = marked(bitmaps, group, window)
            for at, index in one:
                seen[at].add(index)
            assert [marks(bitmap) for bitmap in bitmaps] == marks_of(bitmaps).tolist() == [len(set_) for set_ in seen]
    finally:
        windows.CHUNK_BYTES = before
    for bitmap, set_ in zip(bitmaps, seen, strict=True):
        assert {at for at in range(8 * len(bitmap)) if bitmap[at // 8] >> at % 8 & 1} == set_
        assert not bitmap.endswith(b"\0"), "one form for one set, however it came about"
