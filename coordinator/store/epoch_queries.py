"""Reads of one epoch: from totals that were made when its rows came."""

import asyncio
from typing import Any

import sqlalchemy as sa

from coordinator.kernel.epoch_views import EpochDetailView, PostedView, ReasonCount
from coordinator.kernel.operator_views import ChangeView
from coordinator.kernel.postings import CODES
from coordinator.kernel.rows import rows_of
from device_client.core import cbor

from .money_queries import MoneyQueries
from .schema import table_of

_REASONS = (("presence", "missed"), ("sensing", "unmeasured"), ("rewards", "kept_back"))


class EpochQueries(MoneyQueries):
    async def epoch_detail(self, number: int) -> EpochDetailView | None:
        posted = table_of("ledger", "posted")
        of_epoch = sa.select(posted).where(posted.c.epoch == number).order_by(posted.c.code)
        view, postings, *counted = await asyncio.gather(
            self.epoch(number),
            self._rows("ledger", of_epoch),
            *(self._rows(store, _counted(store, name, number)) for store, name in _REASONS),
        )
        if view is None:
            return None
        state = "closed" if view.closed else "closing" if self._live().beacon > view.last_slot else "open"
        reasons = [ReasonCount(*row) for rows in counted for row in rows]
        return EpochDetailView(
            view,
            state,
            view.emission - view.paid - view.treasury if view.closed else 0,
            sorted(reasons, key=lambda each: (-each.devices, each.code)),
            [PostedView(CODES[row.code], row.postings, row.amount) for row in postings],
            [(name, value) for name, value in self._parameters(number).items() if isinstance(value, int)],
        )

    async def changes_to_come(self) -> list[ChangeView]:
        """Parameters that change with an epoch to come, the next one first."""
        live = self._live()
        running = self._calendar.epoch_of(max(0, live.beacon))
        rows = sorted(rows_of(live.accounts, "changes").items())
        return [
            ChangeView(int(key[0]), bytes(key[1]).decode(), cbor.decode(bytes(row[0])))
            for key, row in rows
            if int(key[0]) > running
        ]

    async def device_ids(self, first: bytes, last: bytes, limit: int) -> list[bytes]:
        """Ids of devices from `first` to `last`."""
        table = table_of("identity", "devices")
        wanted = sa.select(table.c.device).where(table.c.device.between(first, last)).order_by(table.c.device)
        return [row.device for row in await self._rows("identity", wanted.limit(limit))]

    async def owner_ids(self, first: bytes, last: bytes, limit: int) -> list[bytes]:
        """Accounts of owners from `first` to `last`."""
        table = table_of("identity", "devices")
        wanted = sa.select(table.c.owner).where(table.c.owner.between(first, last)).distinct().order_by(table.c.owner)
        return [row.owner for row in await self._rows("identity", wanted.limit(limit))]


def _counted(store: str, name: str, epoch: int) -> Any:
    table = table_of(store, name)
    return sa.select(table.c.reason, table.c.devices).where(table.c.epoch == epoch)
