"""Reads of money: owners, epochs and payouts."""

import asyncio
import functools
from typing import Any

import sqlalchemy as sa

from coordinator.kernel.postings import OWNER, SETTLED
from coordinator.kernel.views import EpochView, OwnerEpochView, OwnerView, PayoutView
from coordinator.modules.rewards import emission_of

from .device_queries import NUMBER_MAX, DeviceQueries
from .schema import table_of

OF_OWNER = (OWNER, SETTLED)
CAPPED_EPOCHS_MAX = 1_000  # the newest


class MoneyQueries(DeviceQueries):
    async def owners(self, limit: int, after: tuple[int, bytes] | None = None) -> list[OwnerView]:
        """Highest paid first, behind what was paid to one and its account."""
        read = functools.partial(self._owners, limit, after)
        return await (self._once_a_batch(("owners", limit), read) if after is None else read())

    async def _owners(self, limit: int, after: tuple[int, bytes] | None) -> list[OwnerView]:
        table = table_of("rewards", "owner_totals")
        below = sa.tuple_(*map(sa.literal, after or (NUMBER_MAX, b"")))
        chosen = sa.select(table.c.owner).where(sa.tuple_(table.c.paid, table.c.owner) < below)
        chosen = chosen.order_by(table.c.paid.desc(), table.c.owner.desc()).limit(limit)
        rows = await self._rows("rewards", chosen)
        found = await asyncio.gather(*(self.owner(row[0]) for row in rows))
        return [view for view in found if view is not None]

    async def owner(self, account: bytes) -> OwnerView | None:
        accounts, devices = table_of("accounts", "accounts"), table_of("identity", "devices")
        balances, caps = table_of("ledger", "balances"), table_of("rewards", "caps")
        totals = table_of("rewards", "owner_totals")
        held = sa.select(balances.c.kind, balances.c.balance).where(balances.c.holder == account)
        reached = sa.select(caps.c.epoch).where(caps.c.owner == account).order_by(caps.c.epoch.desc())
        known, rows, money, capped, paid = await asyncio.gather(
            self._one("accounts", sa.select(accounts).where(accounts.c.account == account)),
            self._rows("identity", sa.select(devices).where(devices.c.owner == account).limit(1000)),
            self._pairs("ledger", held.where(balances.c.kind.in_(OF_OWNER))),
            self._rows("rewards", reached.limit(CAPPED_EPOCHS_MAX)),
            self._one("rewards", sa.select(totals.c.paid).where(totals.c.owner == account)),
        )
        if known is None and not money and not rows:
            return None
        views = await self._device_views(sorted(rows, key=lambda row: bytes(row.device)))
        return OwnerView(
            account=account,
            devices=views,
            balance=money.get(OWNER, 0),
            paid=paid[0] if paid else 0,
            withheld=sum(view.withheld for view in views),
            capped_epochs=[row[0] for row in reversed(capped)],
            nonce=known.nonce if known is not None else 0,
            public_key=known.public_key if known is not None else b"",
            settled=money.get(SETTLED, 0),
        )

    async def owner_epochs(self, account: bytes, before: int | None, limit: int) -> list[OwnerEpochView]:
        table = table_of("rewards", "owner_epochs")
        statement = sa.select(*(table.c[name] for name in OwnerEpochView._fields)).where(table.c.owner == account)
        if before is not None:
            statement = statement.where(table.c.epoch < before)
        statement = statement.order_by(table.c.epoch.desc()).limit(limit)
        return [OwnerEpochView(*row) for row in await self._rows("rewards", statement)]

    # EPOCHS

    async def epochs(self, before: int | None, limit: int) -> list[EpochView]:
        running = self._calendar.epoch_of(max(0, self._live().beacon))
        top = running if before is None else min(running, before - 1)
        bottom = max(0, top - limit + 1)
        table = table_of("rewards", "epochs")
        rows = await self._rows("rewards", sa.select(table).where(table.c.epoch.between(bottom, top)))
        closed = {row.epoch: row for row in rows}
        return [self._epoch_view(number, closed.get(number)) for number in range(top, bottom - 1, -1)]

    async def epoch(self, number: int) -> EpochView | None:
        if not 0 <= number <= self._calendar.epoch_of(max(0, self._live().beacon)):
            return None
        table = table_of("rewards", "epochs")
        return self._epoch_view(number, await self._one("rewards", sa.select(table).where(table.c.epoch == number)))

    def _epoch_view(self, number: int, row: Any) -> EpochView:
        parameters = self._parameters(number)
        budget, halving = parameters.integer("reward_budget"), parameters.integer("reward_halving_epochs")
        return EpochView(
            number=number,
            first_slot=self._calendar.first_slot(number),
            last_slot=self._calendar.last_slot(number),
            closed=row is not None,
            batch=row.batch if row is not None else -1,
            header=self._header_id(row.batch) if row is not None else b"",
            emission=row.emission if row is not None else emission_of(number, budget, halving),
            paid=row.paid if row is not None else 0,
            treasury=row.treasury if row is not None else 0,
            devices=row.devices if row is not None else 0,
        )

    async def payouts(self, epoch: int, after: bytes, limit: int, owner: bytes = b"") -> list[PayoutView]:
        """Of one closed epoch in order of device id, behind `after`; those to one owner where it is given."""
        table = table_of("rewards", "payouts")
        statement = sa.select(table).where(table.c.epoch == epoch, table.c.device > after)
        if owner:
            statement = statement.where(table.c.owner == owner)
        rows = await self._rows("rewards", statement.order_by(table.c.device).limit(limit))
        return [PayoutView(*row[1:]) for row in rows]
