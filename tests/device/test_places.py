"""Places are told from other numbers without a library, as the library tells them."""

import h3.api.basic_int as h3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_client import places

POINT = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
CELL = st.builds(lambda at, resolution: h3.latlng_to_cell(*at, resolution), POINT, st.integers(0, 15))


@given(cell=CELL, bit=st.integers(0, 63))
def test_every_cell_is_one_and_a_flipped_bit_is_judged_as_h3_does(cell: int, bit: int) -> None:
    assert places.is_cell(cell) and places.resolution(cell) == h3.get_resolution(cell)
    flipped = cell ^ 1 << bit
    if h3.is_valid_cell(flipped):
        assert places.is_cell(flipped)
    elif places.is_cell(flipped):  # around the twelve pentagons some digits lead nowhere, and no form says which
        assert h3.is_pentagon(h3.get_res0_cells()[flipped >> 45 & 0x7F])


@given(cell=CELL)
def test_what_is_finer_than_a_map_draws_is_refused(cell: int) -> None:
    text = format(cell, "015x")
    if h3.get_resolution(cell) <= places.FINEST:
        assert places.parsed(text) == cell
    else:
        with pytest.raises(ValueError, match="finer than resolution 5"):
            places.parsed(text)


@pytest.mark.parametrize(
    "text", ["", "0" * 15, "f" * 15, "851F15AFFFFFFFF", "91,0", "0,181", "1e5,3", "52.5 13.4", "x"]
)
def test_no_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not accepted|no place on earth"):
        places.parsed(text)


def test_a_point_becomes_the_cell_around_it() -> None:
    assert places.parsed("-33.87,151.21") == h3.latlng_to_cell(-33.87, 151.21, places.FINEST)
