"""Reads for the map: how many devices are where, and which."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import sqlalchemy as sa

from coordinator.engine import places
from coordinator.engine.genesis import Genesis
from coordinator.engine.places import Counts
from coordinator.kernel.map_views import MapView
from coordinator.kernel.views import DeviceView

from .device_queries import DeviceQueries
from .home import Home
from .reads import Live
from .schema import table_of
from .stores import Stores


class Placed(NamedTuple):
    """What the map is made of, after so many batches; `world` are the maps that were asked for."""

    batch: int
    counts: Counts
    world: dict[int, MapView]


class PlaceQueries(DeviceQueries):
    def __init__(self, stores: Stores, home: Home, genesis: Genesis, live: Callable[[], Live]) -> None:
        super().__init__(stores, home, genesis, live)
        self._placing = asyncio.Lock()
        self._placed: Placed | None = None

    async def map(self, within: int, devices_min: int) -> MapView:
        """Of the world where `within` is 0, else of one cell."""
        placed = await self._newest_placed()
        if within:
            return await asyncio.to_thread(places.drawn, placed.counts, devices_min, within)
        if devices_min not in placed.world:
            placed.world[devices_min] = await asyncio.to_thread(places.drawn, placed.counts, devices_min)
        return placed.world[devices_min]

    async def _newest_placed(self) -> Placed:
        """Counted once a batch; who asks while that is being done gets what was counted before."""
        held = self._placed
        if held is not None and self._placing.locked():
            return held
        async with self._placing:
            batch = await self._stores.applied("identity")
            if self._placed is None or self._placed.batch != batch:
                self._placed = Placed(batch, await self._places(), {})
            return self._placed

    async def devices_at(
        self, cell: int, after: tuple[int, bytes], limit: int
    ) -> list[tuple[tuple[int, bytes], DeviceView]]:
        """Devices inside of a cell in the order of (place, device), those behind `after`, each with where it stands."""
        table = table_of("identity", "devices")
        found: list[Any] = []
        for first, last in places.ranges(cell):
            if last < after[0] or len(found) >= limit:
                continue
            behind = sa.tuple_(table.c.place, table.c.device) > sa.tuple_(*map(sa.literal, after))
            wanted = sa.select(table).where(table.c.place.between(first, last), behind)
            rows = wanted.order_by(table.c.place, table.c.device).limit(limit - len(found))
            found += [row for row in await self._rows("identity", rows) if places.cell_of(row.place)]
        views = await self._device_views(found)
        return [((row.place, view.device), view) for row, view in zip(found, views, strict=True)]

    async def _places(self) -> Counts:
        """Present is who was heard in this epoch or the one before it."""
        devices, active = table_of("identity", "devices"), table_of("identity", "activity")
        epoch = self._calendar.epoch_of(max(0, self._live().beacon))
        since = self._calendar.first_slot(max(0, epoch - 1))
        heard = sa.select(active.c.device).where(active.c.statements > 0, active.c.last_slot >= since)
        present = sa.case((devices.c.device.in_(heard), 1), else_=0)
        counted = sa.select(devices.c.place, sa.func.count(), sa.func.sum(present)).group_by(devices.c.place)
        rows = await self._rows("identity", counted)
        return await asyncio.to_thread(places.counted, [(row[0], row[1], row[2]) for row in rows])
