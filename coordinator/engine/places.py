"""From the places that devices enrolled with to cells on a map, coarse enough to point at nobody.

A place is an index of H3 (a cell of a hexagonal grid, resolution 0 the coarsest) or 0. Four rules:

1. A place finer than FINEST counts as the cell of FINEST around it; one that is no cell counts as none.
2. A cell with fewer than `devices_min` devices is no group: its devices count for the cell around it, and so on, until
   there are enough of them for a group of their own. Where even a cell of COARSEST has too few, they count as unplaced.
3. Whatever is told, of the world or of one cell, is made of whole groups. So nothing that is told, and no difference of
   two numbers that are told, is about fewer than `devices_min` devices.
4. At most CELLS_MAX cells are drawn, and none that nobody would see: else all of them are coarser.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import h3.api.basic_int as h3

from coordinator.kernel.map_views import CellView, MapView

FINEST, COARSEST = 5, 2  # 20 km and 370 km across
CELLS_MAX = 400
VISIBLE = 120  # edges of cells across the map's longer side that can still be told apart
KM_PER_DEGREE = 111.2
_DIGIT_BITS, _RESOLUTION_SHIFT, _RESOLUTIONS = 3, 52, 15


class Count(NamedTuple):
    devices: int
    present: int

    def with_(self, other: "Count") -> "Count":
        return Count(self.devices + other.devices, self.present + other.present)


NOBODY = Count(0, 0)
Counts = Mapping[int, Count]


def cell_of(place: int) -> int:
    """The cell that a place counts for, 0 for none."""
    if not h3.is_valid_cell(place):
        return 0
    return h3.cell_to_parent(place, FINEST) if h3.get_resolution(place) > FINEST else place


def counted(places: Iterable[tuple[int, int, int]]) -> dict[int, Count]:
    """By cell, from (place, devices, present); under 0 those without one."""
    found: dict[int, Count] = {}
    for place, devices, present in places:
        _add(found, cell_of(place), Count(devices, present))
    return found


def groups(counts: Counts, devices_min: int) -> dict[int, Count]:
    """Rule 2: by cell, the devices that count for it; what is under 0 is told of no cell."""
    waiting: list[dict[int, Count]] = [{} for _ in range(FINEST + 1)]
    made = {0: counts.get(0, NOBODY)}
    for cell, count in counts.items():
        if cell:
            _add(waiting[h3.get_resolution(cell)], cell, count)
    for resolution in range(FINEST, -1, -1):
        for cell, count in waiting[resolution].items():
            if count.devices >= devices_min:
                made[cell] = count
            elif resolution > COARSEST:
                _add(waiting[resolution - 1], h3.cell_to_parent(cell, resolution - 1), count)
            else:
                _add(made, 0, count)
    return made


def group_of(place: int, made: Counts) -> int:
    """The cell that a device of this place counts for."""
    cell = cell_of(place)
    while cell and cell not in made:
        cell = parent(cell)
    return cell


def is_inside(cell: int, within: int) -> bool:
    return bool(cell) and resolution(cell) >= resolution(within) and _coarser(cell, resolution(within)) == within


def drawn(made: Counts, within: int = 0) -> MapView:
    """What the map shows of the world, or of one cell: rules 3 and 4."""
    known = {cell: count for cell, count in made.items() if (is_inside(cell, within) if within else cell)}
    coarsest = resolution(within) if within else 0
    cells: dict[int, Count] = {}
    for finest in range(FINEST, coarsest - 1, -1):
        cells = {}
        for cell, count in known.items():
            _add(cells, _coarser(cell, finest), count)
        if len(cells) <= CELLS_MAX and (finest <= COARSEST or _edge_degrees(finest) * VISIBLE >= span(cells)):
            break
    devices = sum(count.devices for count in known.values())
    unplaced = 0 if within else made.get(0, NOBODY).devices
    views = [CellView(cell, resolution(cell), *cells[cell]) for cell in sorted(cells)]
    return MapView(within, views, finest, devices + unplaced, unplaced)


def _coarser(cell: int, finest: int) -> int:
    return int(h3.cell_to_parent(cell, finest)) if resolution(cell) > finest else cell


def _add(counts: dict[int, Count], cell: int, count: Count) -> None:
    counts[cell] = counts.get(cell, NOBODY).with_(count)


def span(cells: Iterable[int]) -> float:
    """How many degrees these cells cover, in the longer direction."""
    corners = [corner for cell in cells for corner in unrolled(cell)]
    if not corners:
        return 0.0
    latitudes = [latitude for latitude, _ in corners]
    return max(west_and_width([longitude for _, longitude in corners])[1], max(latitudes) - min(latitudes))


def unrolled(cell: int) -> list[tuple[float, float]]:
    """Corners of a cell as (latitude, longitude) in degrees, on the side of the date line on which its middle is."""
    _, middle = h3.cell_to_latlng(cell)
    return [
        (latitude, (longitude - middle + 180) % 360 - 180 + middle) for latitude, longitude in h3.cell_to_boundary(cell)
    ]


def west_and_width(longitudes: Iterable[float]) -> tuple[float, float]:
    """Where the widest gap between longitudes ends, for a map that begins there is the narrowest; and what is left."""
    ordered = sorted(longitude % 360 for longitude in longitudes)
    pairs = zip(ordered, ordered[1:] + ordered[:1], strict=True)
    gap, west = max(((after - before) % 360 or 360.0, after) for before, after in pairs)
    return west, 360.0 - gap


def _edge_degrees(resolution: int) -> float:
    return float(h3.average_hexagon_edge_length(resolution, unit="km")) / KM_PER_DEGREE


def resolution(cell: int) -> int:
    return int(h3.get_resolution(cell))


def parent(cell: int) -> int:
    """The cell around it, 0 for one that is as coarse as they get."""
    return int(h3.cell_to_parent(cell, resolution(cell) - 1)) if resolution(cell) > COARSEST else 0


def across_km(resolution: int) -> int:
    """About how wide a cell is."""
    return round(2 * float(h3.average_hexagon_edge_length(resolution, unit="km")))


def text(cell: int) -> str:
    return format(cell, "015x")


def parsed(text: str) -> int:
    """0 for what is no cell, or one that no map draws."""
    if len(text) != 15 or not all(digit in "0123456789abcdef" for digit in text):
        return 0
    cell = int(text, 16)
    return cell if h3.is_valid_cell(cell) and h3.get_resolution(cell) <= FINEST else 0


def ranges(cell: int) -> list[tuple[int, int]]:
    """The places inside of a cell: (first, last) of each resolution from its own on, in ascending order. Between them
    may lie numbers that are no places at all."""
    own = h3.get_resolution(cell)
    found = []
    for resolution in range(own, _RESOLUTIONS + 1):
        base = cell & ~(0xF << _RESOLUTION_SHIFT) | resolution << _RESOLUTION_SHIFT
        # Digits finer than a place's own resolution are all ones; those up to it go from 0 to 6.
        free = ((1 << _DIGIT_BITS * (resolution - own)) - 1) << _DIGIT_BITS * (_RESOLUTIONS - resolution)
        found.append((base & ~free, base))
    return found


def middle(cell: int) -> tuple[float, float]:
    """(latitude, longitude) in degrees."""
    latitude, longitude = h3.cell_to_latlng(cell)
    return float(latitude), float(longitude)


def named(cell: int) -> str:
    """Where a cell is, no more exactly than its size: '52.5° N, 13.3° E'."""
    latitude, longitude = middle(cell)
    decimals = max(0, math.ceil(-math.log10(_edge_degrees(h3.get_resolution(cell)))))
    north, east = ("N" if latitude >= 0 else "S"), ("E" if longitude >= 0 else "W")
    return f"{abs(latitude):.{decimals}f}° {north}, {abs(longitude):.{decimals}f}° {east}"
