"""Changed rows of one table, gathered lane by lane: most of them as columns, a few one by one.

Lanes come in the order of their devices. Inside a lane a row is known by the place of its device, and the rows of one
device are given in the order of their keys.
"""

import numpy as np

from .statements import Columns
from .tables import ColumnChanges, ColumnValues, Row, Table, column_of


class Gathered:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._lanes: list[list[ColumnValues]] = [[column_of(column, []) for column in table.columns]]
        self._columns: list[ColumnValues] = []
        self._places: Columns = np.zeros(0, np.int64)
        self._rows: list[Row] = []
        self._row_places: list[int] = []

    def take(self, devices: Columns, places: Columns, *columns: ColumnValues) -> None:
        """The columns of the lane: devices first, then the others in the order of the table."""
        self._columns = [
            values if isinstance(values, list) else values.astype(column.dtype, copy=False)
            for column, values in zip(self._table.columns, (devices, *columns), strict=True)
        ]
        self._places = places

    def add(self, place: int, row: Row) -> None:
        """One whole row of the lane."""
        self._row_places.append(place)
        self._rows.append(row)

    def end_lane(self) -> None:
        columns = self._columns
        if self._rows:
            order = np.argsort(np.concatenate([self._places, self._row_places]), kind="stable")
            single = zip(*self._rows, strict=True)
            columns = [
                _in_order(_joined([values, column_of(column, list(more))]), order)
                for column, values, more in zip(self._table.columns, columns, single, strict=True)
            ]
            self._rows, self._row_places = [], []
        self._lanes.append(columns)

    def changes(self) -> ColumnChanges:
        return ColumnChanges(self._table, [_joined(list(parts)) for parts in zip(*self._lanes, strict=True)])


def _joined(parts: list[ColumnValues]) -> ColumnValues:
    if isinstance(parts[0], list):
        return [value for part in parts for value in part]
    return np.concatenate(parts)


def _in_order(values: ColumnValues, order: Columns) -> ColumnValues:
    if isinstance(values, list):
        return [values[at] for at in order.tolist()]
    return values[order]
