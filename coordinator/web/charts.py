"""Geometry of the charts. Integers only; templates draw what stands here.

Bars and lines live in a box of fixed units that the page stretches, so no text is inside: labels are HTML beside it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

HEIGHT = 1000
BAR_STEP = 100
BARS_MIN = 12  # fewer would grow into slabs
CELL_STEP = 22
CELLS_PER_ROW = 20
LINE_WIDTH = 3000

LEVELS_PERCENT = (50, 90, 100)


class Bar(NamedTuple):
    """One segment of a stack."""

    x: int
    y: int
    height: int
    kind: str
    title: str


class Bars(NamedTuple):
    width: int
    bars: list[Bar]
    top: int  # the value at the top of the box


class Cell(NamedTuple):
    x: int
    y: int
    level: int  # 0 not up at all, then one a third; 4 always up
    title: str


class Heatmap(NamedTuple):
    width: int
    height: int
    cells: list[Cell]


class Stack(NamedTuple):
    """One bar: amounts from the bottom up. What `deducted` names is drawn over the top of the others."""

    epoch: int
    parts: list[tuple[str, int]]
    deducted: int = 0
    name: str = ""  # where it is of more than the epoch


class Line(NamedTuple):
    path: str
    area: str


class Mark(NamedTuple):
    """A bar along a time."""

    x: int
    width: int
    kind: str
    title: str


def bars(stacks: Sequence[Stack], text: Callable[[int], str]) -> Bars:
    """Stacks oldest first, the newest at the right edge; `text` writes an amount."""
    top = max((sum(amount for _, amount in stack.parts) for stack in stacks), default=0)
    slots = max(len(stacks), BARS_MIN)
    out = []
    for index, stack in enumerate(stacks, slots - len(stacks)):
        x, y = index * BAR_STEP, HEIGHT
        for kind, amount in [*stack.parts, ("deducted", stack.deducted)]:
            height = amount * HEIGHT // top if top else 0
            if kind == "deducted":
                y += height
            elif amount:
                height = max(height, 1)
            if height:
                y -= height
                name = stack.name or f"Epoch {stack.epoch}"
                out.append(Bar(x, y, height, kind, f"{name}: {kind.replace('_', ' ')} {text(amount)}"))
    return Bars(slots * BAR_STEP, out, top)


def mark(start: int, length: int, whole: int, kind: str, title: str) -> Mark:
    """A part of `whole` in a box of LINE_WIDTH: never so narrow that nobody sees it, never out of the box."""
    width = min(max(LINE_WIDTH // 250, length * LINE_WIDTH // max(1, whole)), LINE_WIDTH)
    return Mark(min(max(0, start) * LINE_WIDTH // max(1, whole), LINE_WIDTH - width), width, kind, title)


def heatmap(present: Sequence[tuple[int, int, int]]) -> Heatmap:
    """Cells of (epoch, windows present, windows), oldest first, in rows like text."""
    cells = []
    for index, (epoch, up, windows) in enumerate(present):
        row, column = divmod(index, CELLS_PER_ROW)
        title = f"Epoch {epoch}: up in {up} of {windows} windows"
        cells.append(Cell(column * CELL_STEP, row * CELL_STEP, level(up, windows), title))
    rows = -(-len(cells) // CELLS_PER_ROW)
    return Heatmap(min(len(cells), CELLS_PER_ROW) * CELL_STEP, rows * CELL_STEP, cells)


def level(up: int, windows: int) -> int:
    if up <= 0 or windows <= 0:
        return 0
    return 1 + sum(up * 100 >= bound * windows for bound in LEVELS_PERCENT)


def line(points: Sequence[tuple[int, int]]) -> Line:
    """(time, value) in order of time, as the path of the line and of the area under it."""
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    placed = []
    for time, value in points:
        x = (time - first) * LINE_WIDTH // (last - first) if last > first else LINE_WIDTH // 2
        y = HEIGHT - (value - low) * HEIGHT // (high - low) if high > low else HEIGHT // 2
        placed.append((x, y))
    path = "M" + " L".join(f"{x} {y}" for x, y in placed)
    # A lone point is a stroke of no length: round caps make it a dot.
    path += " h0" if len(placed) == 1 else ""
    return Line(path, f"{path} L{placed[-1][0]} {HEIGHT} L{placed[0][0]} {HEIGHT} Z")
