"""Reads of what the operator did: quarantines, appeals, corrections, settlements, and what is owed."""

import asyncio
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa

from coordinator.engine.explain_operator import Operated, touching
from coordinator.kernel import reasons
from coordinator.kernel.operator_views import AppealView, CorrectionView, OwedView, QuarantineView, SettlementView
from coordinator.kernel.postings import NOBODY, OWNER, SETTLED, TREASURY
from coordinator.modules.identity_quarantine import NEVER

from .reads import Reads
from .schema import table_of

OF_DEVICE_MAX = 1000
ROWID: sa.ColumnElement[int] = sa.literal_column("rowid", sa.BigInteger()).label("rowid")


class OperatorQueries(Reads):
    async def _operated(self, device: bytes, epoch: int) -> Operated:
        held, asked, corrected = await asyncio.gather(
            self.quarantines(device), self.appeals(device), self.corrections(device, epoch)
        )
        return Operated(*touching(epoch, held, asked, self._calendar), corrected)

    # QUARANTINES AND APPEALS

    async def quarantines(self, device: bytes) -> list[QuarantineView]:
        """All of one device, the newest first."""
        lifts = table_of("identity", "lifts")
        begun, ended = await asyncio.gather(
            self._of_device("quarantines", device), self._of_device("lifts", device, lifts.c.ends == 1)
        )
        # One begins only when the one before it has ended; a proof may take one over, and then nothing ends any more.
        return [_quarantine(row, row.batch, end) for row, end in zip_longest(begun, ended)][::-1]

    async def quarantines_open(self, after: bytes, limit: int) -> list[QuarantineView]:
        """Those in force in the order of their devices, behind `after`."""
        rows = await self._behind("quarantined", after, limit)
        return [_quarantine(row, row.since_batch, None) for row in rows]

    async def appeals(self, device: bytes) -> list[AppealView]:
        """All of one device, the newest first."""
        lifts = table_of("identity", "lifts")
        said, answers = await asyncio.gather(
            self._of_device("appeals", device), self._of_device("lifts", device, lifts.c.answers == 1)
        )
        return [_appeal(row, row.batch, answer) for row, answer in zip_longest(said, answers)][::-1]

    async def appeals_open(self, after: bytes, limit: int) -> list[AppealView]:
        """Those without an answer in the order of their devices, behind `after`."""
        return [_appeal(row, row.since_batch, None) for row in await self._behind("appealed", after, limit)]

    async def appellant(self, text: bytes) -> bytes:
        """Whose open appeal names a text of this SHA-256; empty for nobody's."""
        table = table_of("identity", "appealed")
        row = await self._one("identity", sa.select(table.c.account).where(table.c.text == text))
        return row.account if row is not None else b""

    async def _of_device(self, name: str, device: bytes, *where: Any) -> list[Any]:
        table = table_of("identity", name)
        chosen = sa.select(table).where(table.c.device == device, *where).order_by(sa.text("rowid"))
        return list(await self._rows("identity", chosen.limit(OF_DEVICE_MAX)))

    async def _behind(self, name: str, after: bytes, limit: int) -> list[Any]:
        table = table_of("identity", name)
        chosen = sa.select(table).where(table.c.device > after).order_by(table.c.device).limit(limit)
        return list(await self._rows("identity", chosen))

    # MONEY

    async def corrections(self, device: bytes, epoch: int) -> list[CorrectionView]:
        """Of one device for one epoch, the oldest first."""
        table = table_of("ledger", "corrections")
        chosen = sa.select(table, ROWID).where(table.c.device == device, table.c.epoch == epoch)
        rows = await self._rows("ledger", chosen.order_by(sa.text("rowid")).limit(OF_DEVICE_MAX))
        return [_correction(row) for row in rows]

    async def corrections_of(self, account: bytes, before: int | None, limit: int) -> list[CorrectionView]:
        """To one account, the newest first, those with a number below `before`."""
        return [_correction(row) for row in await self._of_account("corrections", account, before, limit)]

    async def settlements(self, account: bytes, before: int | None, limit: int) -> list[SettlementView]:
        """Of one account, the newest first, those with a number below `before`."""
        return [_settlement(row) for row in await self._of_account("settlements", account, before, limit)]

    async def owed(self, after: bytes, limit: int) -> list[OwedView]:
        """Accounts with a balance in their order, behind `after`."""
        table = table_of("ledger", "balances")
        settled = table.alias("settled")
        paid = sa.and_(settled.c.kind == SETTLED, settled.c.holder == table.c.holder)
        chosen = (
            sa.select(table.c.holder, table.c.balance, sa.func.coalesce(settled.c.balance, 0))
            .select_from(table.outerjoin(settled, paid))
            .where(table.c.kind == OWNER, table.c.holder > after, table.c.balance > 0)
        )
        return [OwedView(*row) for row in await self._rows("ledger", chosen.order_by(table.c.holder).limit(limit))]

    async def settled(self, account: bytes) -> int:
        """What was paid to an owner outside of the network, in all."""
        return await self._balance(SETTLED, account)

    async def settlement(self, reference: bytes) -> SettlementView | None:
        """What a reference has settled."""
        known, table = table_of("ledger", "settled"), table_of("ledger", "settlements")
        row = await self._one("ledger", sa.select(known.c.account).where(known.c.reference == reference))
        if row is None:
            return None
        of_account = sa.and_(table.c.account == row.account, table.c.reference == reference)
        found = await self._one("ledger", sa.select(table, ROWID).where(of_account))
        return _settlement(found)

    async def balance(self, account: bytes) -> int:
        """Of an owner."""
        return await self._balance(OWNER, account)

    async def in_treasury(self) -> int:
        return await self._balance(TREASURY, NOBODY)

    async def _balance(self, kind: int, holder: bytes) -> int:
        table = table_of("ledger", "balances")
        chosen = sa.select(table.c.balance).where(table.c.kind == kind, table.c.holder == holder)
        row = await self._one("ledger", chosen)
        return int(row[0]) if row else 0

    async def _of_account(self, name: str, account: bytes, before: int | None, limit: int) -> list[Any]:
        table = table_of("ledger", name)
        chosen = sa.select(table, ROWID).where(table.c.account == account)
        if before is not None:
            chosen = chosen.where(sa.literal_column("rowid") < before)
        return list(await self._rows("ledger", chosen.order_by(sa.text("rowid DESC")).limit(limit)))


def _quarantine(row: Any, since: int, end: Any) -> QuarantineView:
    ended = (end.batch, reasons.name(reasons.LIFT, end.reason)) if end is not None else (-1, "")
    last = -1 if row.last_epoch == NEVER else row.last_epoch
    return QuarantineView(row.device, reasons.name(reasons.QUARANTINE, row.reason), row.evidence, since, last, *ended)


def _appeal(row: Any, since: int, answer: Any) -> AppealView:
    answered = (answer.batch, reasons.name(reasons.LIFT, answer.reason)) if answer is not None else (-1, "")
    return AppealView(row.device, row.account, row.text, since, *answered)


def _settlement(row: Any) -> SettlementView:
    return SettlementView(row.rowid, row.batch, row.account, row.amount, row.reference, row.id)


def _correction(row: Any) -> CorrectionView:
    reason = reasons.name(reasons.CORRECTION, row.reason)
    return CorrectionView(row.rowid, row.batch, row.account, row.device, row.epoch, row.amount, reason, row.id)
