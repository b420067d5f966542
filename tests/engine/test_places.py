"""The map points at nobody: its rules, for any places."""

from itertools import pairwise

import h3.api.basic_int as h3
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine import places
from coordinator.engine.places import CELLS_MAX, FINEST

LATITUDE, LONGITUDE = st.floats(-89.9, 89.9), st.floats(-180, 180)
# Towns, so that cells are shared, and anywhere.
NEAR = st.tuples(st.floats(52.2, 52.8), st.floats(13.0, 13.8))
POINT = st.one_of(NEAR, st.tuples(LATITUDE, LONGITUDE))
PLACE = st.one_of(
    st.builds(lambda at, resolution: h3.latlng_to_cell(*at, resolution), POINT, st.integers(0, 15)),
    st.integers(0, 2**63 - 1),
    st.just(0),
)
ROWS = st.lists(st.tuples(PLACE, st.integers(1, 6), st.integers(0, 6)), max_size=60)
MINIMUM = st.integers(1, 12)


def present(row: tuple[int, int, int]) -> tuple[int, int, int]:
    place, devices, heard = row
    return place, devices, min(devices, heard)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS.map(lambda rows: list(map(present, rows))), minimum=MINIMUM)
def test_no_cell_has_few_devices_and_every_device_counts_once(rows: list[tuple[int, int, int]], minimum: int) -> None:
    groups = places.groups(places.counted(rows), minimum)
    shown = places.drawn(groups)
    total = sum(devices for _, devices, _ in rows)
    assert shown.devices == total == shown.unplaced + sum(cell.devices for cell in shown.cells)
    assert len({cell.cell for cell in shown.cells}) == len(shown.cells) <= CELLS_MAX
    for cell in shown.cells:
        assert cell.devices >= minimum and cell.present <= cell.devices
        assert h3.is_valid_cell(cell.cell) and cell.resolution == h3.get_resolution(cell.cell) <= shown.resolution
        counting = [row for row in rows if places.is_inside(places.group_of(row[0], groups), cell.cell)]
        assert cell.devices <= sum(devices for _, devices, _ in counting)
        assert all(_is_inside(row[0], cell.cell) for row in counting)
    by_group = {cell: sum(row[1] for row in rows if places.group_of(row[0], groups) == cell) for cell in groups}
    assert by_group == {cell: count.devices for cell, count in groups.items()}
    assert shown.resolution <= FINEST


@settings(max_examples=60, deadline=None)
@given(rows=ROWS.map(lambda rows: list(map(present, rows))), minimum=MINIMUM)
def test_no_difference_of_two_numbers_is_about_few(rows: list[tuple[int, int, int]], minimum: int) -> None:
    """Of any cell, and of those that it is divided into, also less what the map of the world shows of them."""
    groups = places.groups(places.counted(rows), minimum)
    cells = {places.cell_of(row[0]) for row in rows} - {0}
    asked = {h3.cell_to_parent(cell, at) for cell in cells for at in range(h3.get_resolution(cell) + 1)}
    told = {cell: places.drawn(groups, cell).devices for cell in asked}
    for cell, devices in told.items():
        of_parts = [
            told[one]
            for one in asked
            if h3.get_resolution(one) == h3.get_resolution(cell) + 1
            and h3.cell_to_parent(one, h3.get_resolution(cell)) == cell
        ]
        for known in (0, sum(of_parts), *of_parts):
            assert devices - known == 0 or devices - known >= minimum
    for within in told:
        for one in places.drawn(groups, within).cells:
            assert _is_inside(one.cell, within) and one.devices >= minimum


@settings(max_examples=100, deadline=None)
@given(point=POINT, coarse=st.integers(0, FINEST), fine=st.integers(0, 15))
def test_the_places_of_a_cell_lie_in_its_ranges(point: tuple[float, float], coarse: int, fine: int) -> None:
    cell, place = h3.latlng_to_cell(*point, coarse), h3.latlng_to_cell(*point, max(coarse, fine))
    assert places.parsed(places.text(cell)) == cell
    outside = h3.grid_ring(cell, 1)[0] if not h3.is_pentagon(cell) else 0
    for other in (place, h3.cell_to_center_child(outside, max(coarse, fine)) if outside else 0):
        if other:
            hit = [first for first, last in places.ranges(cell) if first <= other <= last]
            assert len(hit) == (h3.cell_to_parent(other, coarse) == cell)
    spans = places.ranges(cell)
    assert spans == sorted(spans) and all(one[1] < other[0] for one, other in pairwise(spans))


def test_what_is_no_cell_is_none() -> None:
    fine = places.text(h3.latlng_to_cell(52.5, 13.4, FINEST + 1))
    for text in (
        "",
        "0" * 15,
        "f" * 15,
        "821F1FFFFFFFFFF",
        fine,
        "821f1ffffffffff0",
        "82１f1ffffffffff",
        "<script>alert(",
    ):
        assert places.parsed(text) == 0
    assert places.cell_of(1) == places.cell_of(2**63 - 1) == 0


def test_many_cells_become_coarser_ones() -> None:
    rows = [(h3.latlng_to_cell(40 + i / 10, j / 10, FINEST), 5, 0) for i in range(100) for j in range(100)]
    shown = places.drawn(places.groups(places.counted(rows), 3))
    assert len(shown.cells) <= CELLS_MAX and shown.resolution < FINEST and shown.devices == 50_000
    everywhere = [(cell, 1, 1) for cell in h3.uncompact_cells(h3.get_res0_cells(), 2)]
    assert (
        len(places.drawn(places.groups(places.counted(everywhere), 1)).cells) == 122
    )  # the whole grid, as coarse as it gets


def test_names_are_no_more_exact_than_the_cell() -> None:
    cell = h3.latlng_to_cell(-33.87, 151.21, FINEST)
    assert places.named(cell) == "33.90° S, 151.22° E"
    assert places.named(h3.cell_to_parent(cell, 2)) == "34° S, 150° E"


def test_a_map_across_the_date_line_is_narrow() -> None:
    west, width = places.west_and_width([179.0, -179.0, 178.5])
    assert (west, round(width, 6)) == (178.5, 2.5)
    assert places.west_and_width([7.0])[1] == 0.0


def _is_inside(place: int, cell: int) -> bool:
    resolution = int(h3.get_resolution(cell))
    return h3.get_resolution(place) >= resolution and h3.cell_to_parent(place, resolution) == cell
