"""Reads of rewards by day: from totals by epoch, and the times of beacons that say on which day an epoch ended."""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator

import sqlalchemy as sa

from coordinator.kernel.epoch_views import DayView

from .reads import Reads
from .schema import table_of

DAY_S = 86_400
KINDS = ("presence", "sensing", "owner_cap", "paid")


class DayQueries(Reads):
    async def days(self, before: int | None, limit: int) -> list[DayView]:
        """Newest first, at most `limit`, only those on which an epoch ended; of epochs before one."""

        async def read() -> list[DayView]:
            paid, newest = table_of("rewards", "epoch_totals"), await self._newest_closed(before)
            if newest < 0:
                return []
            sums = [sa.func.coalesce(sa.func.sum(paid.c[name]), 0) for name in KINDS]
            views = []
            for day, first, last in await asyncio.to_thread(lambda: list(self._spans(newest, limit))):
                row = await self._one("rewards", sa.select(*sums).where(paid.c.epoch.between(first, last)))
                views.append(DayView(day, first, last, *map(int, row)))
            return views

        return await self._once_a_batch(("days", before, limit), read)

    def _spans(self, epoch: int, limit: int) -> Iterator[tuple[int, int, int]]:
        """(day, first, last epoch that ended on it), newest first."""
        for _ in range(limit):
            slot = self._calendar.last_slot(epoch)
            time = self._beacon_times(slot)
            if time is None:
                return
            day = time - time % DAY_S
            first = self._calendar.epoch_of(self._first_slot(day, slot))
            yield day, first, epoch
            if first == 0:
                return
            epoch = first - 1

    def _first_slot(self, day: int, slot: int) -> int:
        """The first beacon of the day on which `slot` was sent, looked for where it is if none was late."""
        low = max(0, slot - (self._time(slot) - day) // self._calendar.beacon_interval_s - 1)
        step = 1
        while low > 0 and self._time(low) >= day:
            low, step = max(0, low - step), 2 * step
        high, step = low, 1
        while high < slot and self._time(high) < day:
            low, high, step = high, min(slot, high + step), 2 * step
        return bisect_left(range(slot + 1), day, low, high, key=self._time)

    def _time(self, slot: int) -> int:
        return self._beacon_times(slot) or 0
