"""Reads of uptime for many devices: by index, as many rows as the page has cells."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from coordinator.kernel.uptime_views import UptimeRow, UptimeView

from .reads import Reads
from .schema import table_of

LOOKED_MAX = 500  # devices looked at for those that missed a window: a page may have fewer than it could


class UptimeQueries(Reads):
    async def uptime(
        self, after: bytes, before: int | None, epochs: int, limit: int, missed: bool
    ) -> UptimeView | None:
        """The newest closed epochs, or those before one; None where there is none. With `missed` only devices that were
        not there in every window of the last of them."""
        last = await self._newest_closed(before)
        if last < 0:
            return None
        first, count = max(0, last - epochs + 1), LOOKED_MAX if missed else limit
        looked = await self._looked_at(after, count + 1)
        more, looked = len(looked) > count, looked[:count]
        shown = [row for row in looked if not missed or self._calendar.epoch_of(row.enrolled_slot) <= last]
        if missed:
            always = await self._always_up([row.device for row in shown], last)
            shown = [row for row in shown if row.device not in always]
            more = more or len(shown) > limit
        next = (looked if len(shown) <= limit else shown[:limit])[-1].device if more else b""
        return UptimeView(first, last, await self._uptime_rows(shown[:limit], first, last), next)

    async def _looked_at(self, after: bytes, limit: int) -> Sequence[Any]:
        table = table_of("identity", "devices")
        columns = sa.select(table.c.device, table.c.enrolled_slot, table.c.interval_s)
        return await self._rows("identity", columns.where(table.c.device > after).order_by(table.c.device).limit(limit))

    async def _always_up(self, devices: Sequence[bytes], epoch: int) -> set[bytes]:
        table = table_of("presence", "presence")
        up = sa.select(table.c.device).where(table.c.device.in_(devices), table.c.epoch == epoch)
        rows = await self._rows("presence", up.where(table.c.windows_present >= table.c.windows))
        return {row.device for row in rows}

    async def _uptime_rows(self, devices: Sequence[Any], first: int, last: int) -> list[UptimeRow]:
        """An epoch in which a device was never there has no row in the store."""
        table = table_of("presence", "presence")
        columns = sa.select(table.c.device, table.c.epoch, table.c.windows_present, table.c.windows)
        wanted = columns.where(table.c.device.in_([row.device for row in devices]), table.c.epoch.between(first, last))
        up: dict[bytes, dict[int, tuple[int, int]]] = {row.device: {} for row in devices}
        for device, epoch, present, windows in await self._rows("presence", wanted):
            up[device][epoch] = present, windows
        rows = []
        for row in devices:
            never, enrolled = (0, self._calendar.windows(row.interval_s)), self._calendar.epoch_of(row.enrolled_slot)
            told = up[row.device]
            cells = [told.get(epoch, never if epoch >= enrolled else (0, 0)) for epoch in range(first, last + 1)]
            rows.append(UptimeRow(row.device, cells))
        return rows
