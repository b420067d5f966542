"""Reads for pages, API and command line, over the module stores. Every total is computed here and nowhere else."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from coordinator.engine import wire
from coordinator.engine.explain import Evidence, explain
from coordinator.engine.genesis import Genesis
from coordinator.engine.header import HEADER_FILE
from coordinator.kernel.chains import Chain
from coordinator.kernel.views import (
    DeviceView,
    EpochView,
    Explanation,
    NetworkView,
    OwnerEpochView,
    OwnerView,
    PayoutView,
    PresenceView,
    ReadingView,
)
from coordinator.kernel.windows import marks
from coordinator.modules.identity import QUARANTINED
from coordinator.modules.rewards import emission_of
from device_client.core import cose, verdicts

from .home import Home
from .schema import INTAKE, table_of
from .stores import Stores

_SENSING_COUNTS = (
    "windows_measured",
    "late",
    "out_of_bounds",
    "jump",
    "constant",
    "bad_readings",
    "nothing_measured",
)


class Live(NamedTuple):
    """What only the beacons tell: how far the network is."""

    beacon: int
    beacon_time: int
    reasons: dict[str, int]


class Queries:
    """Implements the web's reader over the stores of one data directory."""

    def __init__(self, stores: Stores, home: Home, genesis: Genesis, live: Callable[[], Live]) -> None:
        self._stores = stores
        self._genesis = genesis
        self._calendar = genesis.parameters.calendar
        self._live = live
        self._header_id = lru_cache(maxsize=4096)(lambda batch: _header_id(home, genesis.hash, batch))

    async def _rows(self, store: str, statement: Any) -> Sequence[Any]:
        async with self._stores.connect(store) as connection:
            return list((await connection.execute(statement)).all())

    async def _one(self, store: str, statement: Any) -> Any:
        rows = await self._rows(store, statement.limit(1))
        return rows[0] if rows else None

    # NETWORK

    async def network(self) -> NetworkView:
        live = self._live()
        devices, epochs = table_of("identity", "devices"), table_of("rewards", "epochs")
        quarantined = sa.func.sum(sa.case((devices.c.standing == QUARANTINED, 1), else_=0))
        counted = sa.select(sa.func.count(), quarantined, sa.func.sum(devices.c.statements))
        known = await self._one("identity", counted.select_from(devices))
        owners = await self._one("identity", sa.select(sa.func.count(sa.distinct(devices.c.owner))))
        money = await self._one("rewards", sa.select(sa.func.sum(epochs.c.paid), sa.func.sum(epochs.c.treasury)))
        assert known is not None and owners is not None and money is not None
        return NetworkView(
            name=self._genesis.name,
            genesis=self._genesis.hash,
            beacon=live.beacon,
            beacon_time=live.beacon_time,
            beacon_interval_s=self._calendar.beacon_interval_s,
            epoch_beacons=self._calendar.epoch_beacons,
            epoch=self._calendar.epoch_of(max(0, live.beacon)),
            batches=await self._stores.applied("ledger") + 1,
            statements=known[2] or 0,
            devices=known[0],
            quarantined=known[1] or 0,
            owners=owners[0],
            paid=money[0] or 0,
            treasury=money[1] or 0,
            refusals={name: count for name, count in live.reasons.items() if name != verdicts.name(verdicts.OK)},
        )

    # DEVICES

    async def devices(self, after: bytes, limit: int) -> list[DeviceView]:
        table = table_of("identity", "devices")
        rows = await self._rows(
            "identity", sa.select(table).where(table.c.device > after).order_by(table.c.device).limit(limit)
        )
        return await self._device_views(rows)

    async def device(self, device: bytes) -> DeviceView | None:
        table = table_of("identity", "devices")
        views = await self._device_views(await self._rows("identity", sa.select(table).where(table.c.device == device)))
        return views[0] if views else None

    async def _device_views(self, rows: Sequence[Any]) -> list[DeviceView]:
        ids = [row.device for row in rows]
        chains, payouts = table_of("identity", "chains"), table_of("rewards", "payouts")
        withheld, proofs = table_of("rewards", "withheld"), table_of("identity", "quarantines")
        gaps: dict[bytes, int] = {}
        for row in await self._rows("identity", sa.select(chains).where(chains.c.device.in_(ids))):
            gaps[row.device] = gaps.get(row.device, 0) + Chain.unpack(*row[2:]).missing
        paid_sum = sa.select(payouts.c.device, sa.func.sum(payouts.c.paid)).group_by(payouts.c.device)
        paid = await self._pairs("rewards", paid_sum.where(payouts.c.device.in_(ids)))
        held = await self._pairs("rewards", sa.select(withheld).where(withheld.c.device.in_(ids)))
        reasons = await self._pairs(
            "identity", sa.select(proofs.c.device, proofs.c.code).where(proofs.c.device.in_(ids))
        )
        epoch = self._calendar.epoch_of(max(0, self._live().beacon))
        return [
            DeviceView(
                device=row.device,
                owner=row.owner,
                standing=self._standing(row, epoch),
                reason=_why(reasons.get(row.device)),
                enrolled_slot=row.enrolled_slot,
                last_slot=row.last_slot if row.statements else -1,
                interval_s=row.interval_s,
                readings_public=bool(row.readings_public),
                channels=[(name, unit, exponent) for name, unit, exponent in wire.decoded(row.channels)],
                statements=row.statements,
                gaps=gaps.get(row.device, 0),
                paid=paid.get(row.device, 0),
                withheld=held.get(row.device, 0),
            )
            for row in rows
        ]

    async def _pairs(self, store: str, statement: Any) -> dict[bytes, int]:
        return {row[0]: row[1] for row in await self._rows(store, statement)}

    def _standing(self, row: Any, epoch: int) -> str:
        if row.standing == QUARANTINED:
            return "quarantined"
        age = epoch - self._calendar.epoch_of(row.enrolled_slot)
        return "vetting" if age < self._genesis.parameters.integer("reward_vetting_epochs") else "active"

    async def device_payouts(self, device: bytes, limit: int) -> list[PayoutView]:
        table = table_of("rewards", "payouts")
        statement = sa.select(table).where(table.c.device == device).order_by(table.c.epoch.desc()).limit(limit)
        return [PayoutView(*row[1:]) for row in await self._rows("rewards", statement)]

    async def device_presence(self, device: bytes, limit: int) -> list[PresenceView]:
        closed, running = table_of("presence", "presence"), table_of("presence", "windows")
        declared = await self.device(device)
        if declared is None:
            return []
        windows = self._calendar.windows(declared.interval_s)
        statement = sa.select(running).where(running.c.device == device).order_by(running.c.epoch.desc())
        views = [PresenceView(row.epoch, marks(row.bitmap), windows) for row in await self._rows("presence", statement)]
        statement = sa.select(closed).where(closed.c.device == device).order_by(closed.c.epoch.desc()).limit(limit)
        views += [
            PresenceView(row.epoch, row.windows_present, row.windows) for row in await self._rows("presence", statement)
        ]
        return views[:limit]

    async def readings(self, device: bytes, after_slot: int, limit: int) -> list[ReadingView]:
        table = table_of(INTAKE, "readings")
        statement = (
            sa.select(table)
            .where(table.c.device == device, table.c.slot > after_slot)
            .order_by(table.c.slot, table.c.boot, table.c.seq, table.c.dt_ms)
            .limit(limit)
        )
        return [
            ReadingView(row.slot, row.boot, row.seq, row.dt_ms, wire.decoded(row.row))
            for row in await self._rows(INTAKE, statement)
        ]

    # OWNERS

    async def owners(self, limit: int) -> list[OwnerView]:
        table = table_of("rewards", "payouts")
        paid = sa.func.sum(table.c.paid)
        rows = await self._rows(
            "rewards", sa.select(table.c.owner, paid).group_by(table.c.owner).order_by(paid.desc()).limit(limit)
        )
        found = [await self.owner(row[0]) for row in rows]
        return [view for view in found if view is not None]

    async def owner(self, account: bytes) -> OwnerView | None:
        accounts, devices = table_of("identity", "accounts"), table_of("identity", "devices")
        if await self._one("identity", sa.select(accounts).where(accounts.c.account == account)) is None:
            return None
        rows = await self._rows("identity", sa.select(devices).where(devices.c.owner == account).limit(1000))
        views = await self._device_views(sorted(rows, key=lambda row: bytes(row.device)))
        balances, caps = table_of("ledger", "balances"), table_of("rewards", "caps")
        balance = await self._one(
            "ledger", sa.select(balances.c.balance).where(balances.c.kind == 2, balances.c.holder == account)
        )
        capped = await self._rows(
            "rewards", sa.select(caps.c.epoch).where(caps.c.owner == account).order_by(caps.c.epoch)
        )
        payouts = table_of("rewards", "payouts")
        paid = await self._one("rewards", sa.select(sa.func.sum(payouts.c.paid)).where(payouts.c.owner == account))
        return OwnerView(
            account=account,
            devices=views,
            balance=balance[0] if balance else 0,
            paid=(paid[0] if paid else 0) or 0,
            withheld=sum(view.withheld for view in views),
            capped_epochs=[row[0] for row in capped],
        )

    async def owner_epochs(self, account: bytes, before: int | None, limit: int) -> list[OwnerEpochView]:
        table = table_of("rewards", "payouts")
        names = ("paid", "presence", "sensing", "owner_cap", "withheld", "released")
        statement = sa.select(table.c.epoch, *(sa.func.sum(table.c[name]) for name in names), sa.func.count())
        statement = statement.where(table.c.owner == account)
        if before is not None:
            statement = statement.where(table.c.epoch < before)
        statement = statement.group_by(table.c.epoch).order_by(table.c.epoch.desc()).limit(limit)
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
        parameters = self._genesis.parameters
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

    async def payouts(self, epoch: int, after: bytes, limit: int) -> list[PayoutView]:
        table = table_of("rewards", "payouts")
        statement = sa.select(table).where(table.c.epoch == epoch, table.c.device > after)
        rows = await self._rows("rewards", statement.order_by(table.c.device).limit(limit))
        return [PayoutView(*row[1:]) for row in rows]

    # WHY

    async def explain(self, device: bytes, epoch: int | None) -> Explanation | None:
        declared = await self.device(device)
        if declared is None:
            return None
        closed = await self._one("rewards", sa.select(sa.func.max(table_of("rewards", "epochs").c.epoch)))
        newest = closed[0] if closed is not None and closed[0] is not None else -1
        number = epoch if epoch is not None else max(0, newest)
        return explain(await self._evidence(declared, number, number <= newest))

    async def _evidence(self, device: DeviceView, epoch: int, closed: bool) -> Evidence:
        payouts, caps = table_of("rewards", "payouts"), table_of("rewards", "caps")
        row = await self._one(
            "rewards", sa.select(payouts).where(payouts.c.device == device.device, payouts.c.epoch == epoch)
        )
        cap = await self._one(
            "rewards", sa.select(caps.c.earned, caps.c.cap).where(caps.c.owner == device.owner, caps.c.epoch == epoch)
        )
        presence = [view for view in await self.device_presence(device.device, 100_000) if view.epoch == epoch]
        proofs = table_of("identity", "quarantines")
        proof = await self._one("identity", sa.select(proofs.c.batch).where(proofs.c.device == device.device))
        refused = table_of(INTAKE, "refused")
        unproven = await self._rows(
            INTAKE, sa.select(refused.c.code, refused.c.count).where(refused.c.device == device.device)
        )
        return Evidence(
            device=device,
            epoch=epoch,
            closed=closed,
            payout=PayoutView(*row[1:]) if row else None,
            windows_present=presence[0].windows_present if presence else 0,
            windows=self._calendar.windows(device.interval_s),
            sensing=await self._sensing(device.device, epoch, closed),
            verdicts=await self._codes("identity", "verdicts", device.device, epoch),
            refusals=await self._codes(INTAKE, "refusals", device.device, epoch),
            unproven={row[0]: row[1] for row in unproven if not verdicts.is_receipted(row[0])},
            capped=(cap[0], cap[1]) if cap else None,
            quarantine_batch=proof[0] if proof else -1,
            late_ppm=self._genesis.parameters.integer("sensing_late_ppm"),
        )

    async def _sensing(self, device: bytes, epoch: int, closed: bool) -> dict[str, int]:
        if closed:
            table = table_of("sensing", "sensing")
            row = await self._one("sensing", sa.select(table).where(table.c.device == device, table.c.epoch == epoch))
            return {name: row._mapping[name] for name in _SENSING_COUNTS} if row else {}
        tallies = table_of("sensing", "tallies")
        row = await self._one("sensing", sa.select(tallies).where(tallies.c.device == device, tallies.c.epoch == epoch))
        if row is None:
            return {}
        return {"windows_measured": marks(row.bitmap)} | {name: row._mapping[name] for name in _SENSING_COUNTS[1:]}

    async def _codes(self, store: str, name: str, device: bytes, epoch: int) -> dict[int, int]:
        """How often each code was given to a device's statements of an epoch."""
        table = table_of(store, name)
        first, last = self._calendar.first_slot(epoch), self._calendar.last_slot(epoch)
        counted = sa.select(table.c.code, sa.func.count()).where(
            table.c.device == device, table.c.slot.between(first, last)
        )
        return {row[0]: row[1] for row in await self._rows(store, counted.group_by(table.c.code))}


def _header_id(home: Home, genesis: bytes, batch: int) -> bytes:
    data = (home.batches / str(batch) / HEADER_FILE).read_bytes()
    return wire.envelope(data, cose.TYPE_HEADER, genesis).id


def _why(code: int | None) -> str:
    return verdicts.name(code) if code is not None else ""
