"""Where devices say they are, coarsely: counts by cell of H3 (https://h3geo.org), never a device's own point."""

from collections.abc import Sequence
from typing import NamedTuple


class CellView(NamedTuple):
    """A cell as it is drawn. Devices of a finer cell that is drawn itself are not counted again."""

    cell: int  # an H3 index
    resolution: int
    devices: int
    present: int  # of them, those heard in this epoch or the last one


class MapView(NamedTuple):
    """Cells in the order of their indexes. `devices` of the whole network (or of those cells), `unplaced` of them in no
    cell, or too few for the coarsest; `resolution` is the finest one drawn."""

    within: int  # the cell that is looked into, 0 for the world
    cells: Sequence[CellView]
    resolution: int
    devices: int
    unplaced: int
