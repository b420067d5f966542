"""Reads for pay stubs: the statements of a device in an epoch, and the postings that paid it."""

from typing import Any

import sqlalchemy as sa

from coordinator.engine.stub import Correction
from coordinator.kernel import reasons
from coordinator.kernel.postings import (
    ACCOUNT_KINDS,
    CODE_CORRECTION,
    CODE_RELEASED,
    CODE_REWARD,
    CODE_WITHHELD,
    CODES,
    OWNER,
    SETTLED,
    WITHHELD,
)
from coordinator.kernel.stub_views import PostingView, StatementView
from coordinator.kernel.views import PayoutView
from coordinator.modules.sensing import MEASURED_NAMES
from device_client.core import verdicts

from .reads import Reads
from .schema import table_of

ROWID: sa.ColumnElement[int] = sa.literal_column("postings.rowid")

CORRECTIONS_MAX = 20  # of one device and epoch


class StubQueries(Reads):
    async def statements(
        self, device: bytes, epoch: int, after: tuple[int, int], limit: int, code: int | None = None
    ) -> list[StatementView]:
        """Those received in an epoch or counting for it, in the order of (boot, seq), behind `after`; of one verdict
        where it is given."""
        table = table_of("identity", "verdicts")
        statement = (
            sa.select(table)
            .where(self._received(table, device, epoch))
            .where(sa.tuple_(table.c.boot, table.c.seq) > sa.tuple_(*map(sa.literal, after)))
            .order_by(table.c.boot, table.c.seq, table.c.id)
            .limit(limit)
        )
        if code is not None:
            statement = statement.where(table.c.code == code)
        return [self._statement(row) for row in await self._rows("identity", statement)]

    async def _statement_count(self, device: bytes, epoch: int) -> int:
        table = table_of("identity", "verdicts")
        counted = sa.select(sa.func.count()).select_from(table).where(self._received(table, device, epoch))
        found = await self._one("identity", counted)
        return int(found[0])

    def _received(self, table: sa.Table, device: bytes, epoch: int) -> Any:
        first, last = self._calendar.first_slot(epoch), self._calendar.last_slot(epoch)
        # What quotes a beacon of the epoch is in time up to the deadline behind it.
        in_time = table.c.slot.between(first, last + self._calendar.deadline_beacons)
        return sa.and_(table.c.device == device, in_time, sa.or_(table.c.slot <= last, table.c.quoted <= last))

    def _statement(self, row: Any) -> StatementView:
        counting = row.quoted if row.code == verdicts.OK and row.quoted >= 0 else row.slot
        return StatementView(
            boot=row.boot,
            seq=row.seq,
            slot=row.slot,
            quoted=row.quoted,
            batch=row.batch,
            code=row.code,
            verdict=verdicts.name(row.code),
            measured=MEASURED_NAMES.get(row.measured, ""),
            epoch=self._calendar.epoch_of(counting),
            id=row.id,
        )

    async def postings(
        self, account: bytes, epoch: int | None, before: tuple[int, int] | None, limit: int
    ) -> list[tuple[int, PostingView]]:
        """Of an account of any kind, newest epoch first, each with its cursor; those of one epoch where it is given."""
        table = table_of("ledger", "postings")
        found: dict[int, Any] = {}
        for holder in (table.c.credit_holder, table.c.debit_holder):
            statement = _numbered(table).where(holder == account)
            if epoch is not None:
                statement = statement.where(table.c.epoch == epoch)
            if before is not None:
                statement = statement.where(sa.tuple_(table.c.epoch, ROWID) < sa.tuple_(*map(sa.literal, before)))
            newest = statement.order_by(table.c.epoch.desc(), ROWID.desc()).limit(limit)
            found.update({row.row: row for row in await self._rows("ledger", newest)})
        rows = sorted(found.values(), key=lambda row: (row.epoch, row.row), reverse=True)[:limit]
        return [(row.row, _posting(row)) for row in rows]

    async def epoch_postings(
        self, epoch: int, owner: bytes, code: int | None, after: tuple[int, int], limit: int
    ) -> list[tuple[tuple[int, int], PostingView]]:
        """Of one epoch, each with its place: in the order of codes, or those of one owner in the order in which they
        were made, code 0 in their places. `code` is a number of postings.CODES."""
        table = table_of("ledger", "postings")
        of_code = (table.c.code == code,) if code is not None else ()
        in_epoch = _numbered(table).where(table.c.epoch == epoch, *of_code)
        if not owner:
            behind = sa.tuple_(table.c.code, ROWID) > sa.tuple_(*map(sa.literal, after))
            chosen = in_epoch.where(behind).order_by(table.c.code, ROWID).limit(limit)
            return [((row.code, row.row), _posting(row)) for row in await self._rows("ledger", chosen)]
        found: dict[int, Any] = {}
        for kind, holder in (table.c.credit_kind, table.c.credit_holder), (table.c.debit_kind, table.c.debit_holder):
            of_owner = in_epoch.where(holder == owner, kind.in_((OWNER, SETTLED)), after[1] < ROWID)
            next_ones = await self._rows("ledger", of_owner.order_by(ROWID).limit(limit))
            found.update({row.row: row for row in next_ones})
        return [((0, number), _posting(row)) for number, row in sorted(found.items())[:limit]]

    async def _postings_of(self, payout: PayoutView | None) -> list[PostingView]:
        """Those of one payout stand together, in the order in which they were made; the first one tells where."""
        if payout is None:
            return []
        table, first = table_of("ledger", "postings"), await self._first_posting(payout)
        if first is None:
            return []
        count = (payout.paid > payout.withheld) + bool(payout.withheld) + bool(payout.released) + bool(payout.owner_cap)
        together = _numbered(table).where(ROWID.between(first, first + count - 1)).order_by(ROWID)
        return [_posting(row) for row in await self._rows("ledger", together)]

    async def _first_posting(self, payout: PayoutView) -> int | None:
        table = table_of("ledger", "postings")
        if payout.paid > payout.withheld:
            of_code = self._to(OWNER, payout.owner, CODE_REWARD)
            place = await self._rewarded_before(payout)
        elif payout.withheld:
            of_code, place = self._to(WITHHELD, payout.device, CODE_WITHHELD), 0
        else:
            of_code = sa.and_(table.c.debit_holder == payout.device, _is_code(table, CODE_RELEASED))
            place = 0
        wanted = sa.select(ROWID).where(of_code, table.c.epoch == payout.epoch).order_by(ROWID)
        found = await self._rows("ledger", wanted.offset(place).limit(1))
        return int(found[0][0]) if found else None

    async def _corrections(self, device: bytes, epoch: int) -> tuple[list[Correction], list[PostingView]]:
        """What the operator paid later for a device and epoch, and its postings: those of an account in a batch stand
        in the order of its corrections there."""
        table, ledger = table_of("ledger", "corrections"), table_of("ledger", "postings")
        rows: Any = sa.literal_column("corrections.rowid")
        wanted = sa.select(table, rows.label("row")).where(table.c.device == device, table.c.epoch == epoch)
        found, postings = [], []
        for row in await self._rows("ledger", wanted.order_by(rows).limit(CORRECTIONS_MAX)):
            found.append(Correction(row.account, row.amount, reasons.name(reasons.CORRECTION, row.reason)))
            of_batch = table.c.account == row.account, table.c.batch == row.batch, rows < row.row
            before = await self._one("ledger", sa.select(sa.func.count()).where(*of_batch))
            when = self._calendar.epoch_of((row.batch + 1) * self._calendar.batch_beacons - 1)
            posted = _numbered(ledger).where(
                self._to(OWNER, row.account, CODE_CORRECTION), ledger.c.epoch == when, ledger.c.batch == row.batch
            )
            place = posted.order_by(ROWID).offset(before[0]).limit(1)
            postings += [_posting(one) for one in await self._rows("ledger", place)]
        return found, postings

    def _to(self, kind: int, holder: bytes, code: int) -> Any:
        table = table_of("ledger", "postings")
        return sa.and_(table.c.credit_holder == holder, table.c.credit_kind == kind, _is_code(table, code))

    async def _rewarded_before(self, payout: PayoutView) -> int:
        """How many devices of the owner have a posting of this code before this one's: they go by device id."""
        table = table_of("rewards", "payouts")
        earlier = sa.select(sa.func.count()).where(
            table.c.owner == payout.owner,
            table.c.epoch == payout.epoch,
            table.c.device < payout.device,
            table.c.paid > table.c.withheld,
        )
        return int((await self._one("rewards", earlier))[0])


def _is_code(table: sa.Table, code: int) -> Any:
    """Of postings found by their holder. SQLite would rather read an epoch's of this code, of all holders: the sum
    keeps that index from it."""
    return table.c.code + 0 == code


def _numbered(table: sa.Table) -> Any:
    """Postings with their place in the store, and that of the first one of their batch."""
    same = table.alias("same")
    first: Any = sa.select(sa.func.min(sa.literal_column("same.rowid"))).where(same.c.batch == table.c.batch)
    return sa.select(table, ROWID.label("row"), first.correlate(table).scalar_subquery().label("first"))


def _posting(row: Any) -> PostingView:
    return PostingView(
        batch=row.batch,
        number=row.row - row.first,
        epoch=row.epoch,
        debit=ACCOUNT_KINDS[row.debit_kind],
        debit_holder=row.debit_holder,
        credit=ACCOUNT_KINDS[row.credit_kind],
        credit_holder=row.credit_holder,
        amount=row.amount,
        code=CODES[row.code],
    )
