"""Reads for exports: all readings of a device, with the time at which each was measured."""

import asyncio
from typing import Any

import sqlalchemy as sa

from coordinator.kernel.views import TimedReadingView

from .device_queries import reading_values
from .reads import Reads
from .schema import INTAKE, table_of

PLACE: sa.ColumnElement[int] = sa.literal_column("readings.rowid")


class ReadingQueries(Reads):
    async def all_readings(
        self, device: bytes, slots: range, after: tuple[int, int], limit: int
    ) -> list[TimedReadingView]:
        """See the web's Reader."""
        table = table_of(INTAKE, "readings")
        statement = (
            sa.select(table, PLACE.label("place"))
            .where(table.c.device == device, table.c.slot.between(slots.start, slots.stop - 1))
            .where(sa.tuple_(table.c.slot, PLACE) > sa.tuple_(*map(sa.literal, after)))
            .order_by(table.c.slot, PLACE)
            .limit(limit)
        )
        rows = await self._rows(INTAKE, statement)
        times = await asyncio.to_thread(self._times, {number for row in rows for number in (row.quoted, row.slot)})
        return [_view(row, times) for row in rows]

    def _times(self, numbers: set[int]) -> dict[int, int]:
        found = {number: self._beacon_times(number) for number in sorted(numbers) if number >= 0}
        return {number: time for number, time in found.items() if time is not None}


def _view(row: Any, times: dict[int, int]) -> TimedReadingView:
    # What quotes an unknown beacon has no time of its own: it was not after its slot.
    time_s = times.get(row.quoted, times.get(row.slot, 0))
    place = row.slot, row.boot, row.seq, row.dt_ms, row.quoted
    return TimedReadingView(*place, time_s * 1000 + row.dt_ms, reading_values(row.row), row.place)
