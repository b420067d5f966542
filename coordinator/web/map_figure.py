"""Geometry of the map: H3 cells on a plain grid of degrees. No tiles, no coasts: what is drawn is what was counted."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from coordinator.engine import places
from coordinator.kernel.map_views import CellView
from coordinator.web import charts

WIDTH, HEIGHT_MIN, HEIGHT_MAX = 1000, 360, 560
MARGIN = 0.08  # of what the cells cover, on each side
DEGREES_MIN = 0.5
FLAT_MAX = 75.0  # the latitude by which the grid is scaled at most: a degree of longitude is nothing at the poles
LINES_MAX = 8
STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 45.0)  # degrees between two lines
DOT = 7  # a cell with a smaller radius is drawn as a dot of this one
LEVELS = 4


class Shape(NamedTuple):
    """A cell. `radius` is 0 where its corners can be told apart."""

    cell: str
    points: str
    x: int
    y: int
    radius: int
    level: int
    is_merged: bool  # coarser than the others, for want of devices
    title: str


class Figure(NamedTuple):
    """`lines` is a path; between two of them lie `step` degrees."""

    height: int
    shapes: list[Shape]
    lines: str
    step: str


class Frame(NamedTuple):
    """A degree of longitude is `across` units wide, one of latitude `up` units high."""

    west: float
    north: float
    across: float
    up: float
    height: int

    def x(self, east: float) -> int:
        """Of degrees east of `west`."""
        return round(east * self.across)

    def y(self, latitude: float) -> int:
        return round((self.north - latitude) * self.up)


def figure(cells: Sequence[CellView], finest: int, by_presence: bool) -> Figure | None:
    """None where there is nothing to draw. Coarse cells lie below fine ones."""
    if not cells:
        return None
    frame = _frame([corner for cell in cells for corner in places.unrolled(cell.cell)])
    most = max(cell.devices for cell in cells)
    ordered = sorted(cells, key=lambda cell: (cell.resolution, cell.cell))
    shapes = [_shape(frame, cell, most, finest, by_presence) for cell in ordered]
    step = _step(max(WIDTH / frame.across, frame.height / frame.up))
    return Figure(frame.height, shapes, " ".join(_lines(frame, step)), f"{step:g}")


def _frame(corners: Sequence[tuple[float, float]]) -> Frame:
    latitudes = [latitude for latitude, _ in corners]
    west, covered = places.west_and_width([longitude for _, longitude in corners])
    wide = max(DEGREES_MIN, covered)
    low, high = min(latitudes), max(latitudes)
    tall = max(DEGREES_MIN, high - low)
    shrink = math.cos(math.radians(min(FLAT_MAX, abs(low + high) / 2)))  # of a degree of longitude
    margin = MARGIN * max(wide * shrink, tall)
    inner_wide, inner_tall = wide * shrink + 2 * margin, tall + 2 * margin
    up = min(WIDTH / inner_wide, HEIGHT_MAX / inner_tall)
    height = max(HEIGHT_MIN, round(inner_tall * up))
    across = up * shrink
    middle_east, middle_north = covered / 2, (low + high) / 2
    return Frame(west + middle_east - WIDTH / across / 2, middle_north + height / up / 2, across, up, height)


def _shape(frame: Frame, cell: CellView, most: int, finest: int, by_presence: bool) -> Shape:
    latitude, longitude = places.middle(cell.cell)
    east = (longitude - frame.west) % 360  # the frame begins west of every cell
    corners = [(frame.x(east + to - longitude), frame.y(at)) for at, to in places.unrolled(cell.cell)]
    x, y = frame.x(east), frame.y(latitude)
    radius = max(math.hypot(at_x - x, at_y - y) for at_x, at_y in corners)
    level = charts.level(cell.present, cell.devices) if by_presence else level_of(cell.devices, most)
    points = " ".join(f"{at_x},{at_y}" for at_x, at_y in corners)
    title = f"{places.named(cell.cell)}: {cell.devices:,} {'device' if cell.devices == 1 else 'devices'}"
    title += f", {cell.present:,} heard of late"
    is_merged = cell.resolution < finest
    return Shape(places.text(cell.cell), points, x, y, DOT if radius < DOT else 0, level, is_merged, title)


def level_of(devices: int, most: int) -> int:
    """1 to LEVELS, in equal steps of the logarithm; the fullest cell has the highest."""
    return 1 + min(LEVELS - 1, int(LEVELS * math.log(devices) / math.log(most))) if most > 1 else LEVELS


def _step(degrees: float) -> float:
    return next((step for step in STEPS if degrees / step <= LINES_MAX), STEPS[-1])


def _lines(frame: Frame, step: float) -> Iterator[str]:
    """Meridians and parallels at multiples of the step."""
    for at in _multiples(frame.west, WIDTH / frame.across, step):
        yield f"M{frame.x(at - frame.west)} 0V{frame.height}"
    for at in _multiples(frame.north - frame.height / frame.up, frame.height / frame.up, step):
        if abs(at) <= 90:
            yield f"M0 {frame.y(at)}H{WIDTH}"


def _multiples(start: float, length: float, step: float) -> Iterator[float]:
    for number in range(math.ceil(start / step), math.floor((start + length) / step) + 1):
        yield number * step
