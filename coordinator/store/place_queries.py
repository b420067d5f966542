"""Reads for the map: how many devices are where, and which."""

import asyncio
from collections.abc import Callable, Sequence
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

LOOKED_MAX = 5_000  # rows looked at for a page: strangers may enrol with numbers in a range that are no places
VIEWS_MAX = 128  # cells whose map is kept until the next batch


class Placed(NamedTuple):
    """What the map is made of, after so many batches; `groups` by the least number of devices, `views` by cell too."""

    batch: int
    counts: Counts
    groups: dict[int, Counts]
    views: dict[tuple[int, int], MapView]


class PlaceQueries(DeviceQueries):
    def __init__(self, stores: Stores, home: Home, genesis: Genesis, live: Callable[[], Live]) -> None:
        super().__init__(stores, home, genesis, live)
        self._placing = asyncio.Lock()
        self._placed: Placed | None = None

    async def map(self, within: int, devices_min: int) -> MapView:
        """Of the world where `within` is 0, else of one cell."""
        placed = await self._newest_placed()
        groups = await _groups(placed, devices_min)
        key = within, devices_min
        view = placed.views.get(key)
        if view is None:
            view = await asyncio.to_thread(places.drawn, groups, within)
            if len(placed.views) < VIEWS_MAX:
                placed.views[key] = view
        return view

    async def _newest_placed(self) -> Placed:
        """Counted once a batch; who asks while that is being done gets what was counted before."""
        held = self._placed
        if held is not None and self._placing.locked():
            return held
        async with self._placing:
            batch = await self._stores.applied("identity")
            if self._placed is None or self._placed.batch != batch:
                self._placed = Placed(batch, await self._places(), {}, {})
            return self._placed

    async def devices_at(self, cell: int, devices_min: int, after: bytes, limit: int) -> list[DeviceView]:
        """Devices that count for a cell, those behind the device `after`, which counts for it too or is ignored: where
        a device is that does not, must not be had by asking what comes behind it."""
        groups = await _groups(await self._newest_placed(), devices_min)
        devices = table_of("identity", "devices")
        known = await self._one("identity", sa.select(devices.c.place).where(devices.c.device == after))
        counts = known is not None and _counts(known.place, groups, cell)
        behind = (known.place, after) if counts else (0, b"")
        looked = await asyncio.to_thread(_counting, await self._placed_behind(cell, behind), groups, cell)
        ids = looked[:limit]
        found = await self._rows("identity", sa.select(devices).where(devices.c.device.in_(ids)))
        views = {view.device: view for view in await self._device_views(found)}
        return [views[device] for device in ids]

    async def _placed_behind(self, cell: int, behind: tuple[int, bytes]) -> list[Any]:
        """(place, device) in a cell's ranges, also those whose number is no place."""
        devices = table_of("identity", "devices")
        rows: list[Any] = []
        later = sa.tuple_(devices.c.place, devices.c.device) > sa.tuple_(*map(sa.literal, behind))
        for first, last in places.ranges(cell):
            if last >= behind[0] and len(rows) < LOOKED_MAX:
                wanted = sa.select(devices.c.place, devices.c.device).where(devices.c.place.between(first, last), later)
                ordered = wanted.order_by(devices.c.place, devices.c.device).limit(LOOKED_MAX - len(rows))
                rows += await self._rows("identity", ordered)
        return rows

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


async def _groups(placed: Placed, devices_min: int) -> Counts:
    if devices_min not in placed.groups:
        placed.groups[devices_min] = await asyncio.to_thread(places.groups, placed.counts, devices_min)
    return placed.groups[devices_min]


def _counts(place: int, groups: Counts, cell: int) -> bool:
    return places.is_inside(places.group_of(place, groups), cell)


def _counting(rows: Sequence[Any], groups: Counts, cell: int) -> list[bytes]:
    by_place = {place: _counts(place, groups, cell) for place in {row.place for row in rows}}
    return [row.device for row in rows if by_place[row.place]]
