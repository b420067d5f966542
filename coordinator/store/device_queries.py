"""Reads of devices: who they are, how they stand, when they were there, what they measured."""

import asyncio
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from coordinator.engine import explain_notices, wire
from coordinator.engine.explain_notices import Told
from coordinator.kernel import reasons
from coordinator.kernel.chains import Chain
from coordinator.kernel.views import DeviceView, NoticeView, PayoutView, PresenceView, ReadingView
from coordinator.kernel.windows import marks
from coordinator.modules.identity import QUARANTINED, REVOKED
from device_client.core import notice_names
from device_client.core.statement import MISSING

from .reads import Reads
from .schema import INTAKE, table_of

NUMBER_MAX = 2**63 - 1
TOLD_MAX = 1_000  # counted of one code in an epoch


class DeviceQueries(Reads):
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
        chains, totals = table_of("identity", "chains"), table_of("rewards", "device_totals")
        withheld, jailed = table_of("rewards", "withheld"), table_of("identity", "quarantined")
        active = table_of("identity", "activity")
        links, paid, held, why, activity, notices = await asyncio.gather(
            self._rows("identity", sa.select(chains).where(chains.c.device.in_(ids))),
            self._pairs("rewards", sa.select(totals.c.device, totals.c.paid).where(totals.c.device.in_(ids))),
            self._pairs("rewards", sa.select(withheld).where(withheld.c.device.in_(ids))),
            self._pairs("identity", sa.select(jailed.c.device, jailed.c.reason).where(jailed.c.device.in_(ids))),
            self._rows("identity", sa.select(active).where(active.c.device.in_(ids))),
            self._notices(rows),
        )
        gaps: dict[bytes, int] = {}
        for row in links:
            gaps[row.device] = gaps.get(row.device, 0) + Chain.unpack(*row[2:]).missing
        spoke = {row.device: (row.statements, row.last_slot) for row in activity}
        epoch = self._calendar.epoch_of(max(0, self._live().beacon))
        return [
            DeviceView(
                device=row.device,
                owner=row.owner,
                standing=self._standing(row, epoch),
                reason=reasons.name(reasons.QUARANTINE, why[row.device]) if row.device in why else "",
                enrolled_slot=row.enrolled_slot,
                last_slot=spoke[row.device][1] if spoke[row.device][0] else -1,
                interval_s=row.interval_s,
                readings_public=bool(row.readings_public),
                channels=_channels(row),
                statements=spoke[row.device][0],
                gaps=gaps.get(row.device, 0),
                paid=paid.get(row.device, 0),
                withheld=held.get(row.device, 0),
                public_key=row.public_key,
                notices=notices.get(row.device, ()),
            )
            for row in rows
        ]

    async def _notices(self, rows: Sequence[Any]) -> dict[bytes, list[NoticeView]]:
        """By device, what it says about itself."""
        table = table_of("notices", "notices")
        names = {row.device: [name for name, _, _ in _channels(row)] for row in rows}
        found: dict[bytes, list[NoticeView]] = {}
        statement = sa.select(table).where(table.c.device.in_(names)).order_by(table.c.device, table.c.code)
        for device, code, value, boot, seq, since in await self._rows("notices", statement):
            text = explain_notices.sentence(code, value, self._calendar.epoch_of(since), names[device])
            view = NoticeView(code, notice_names.name(code), value, boot, seq, since, text)
            found.setdefault(device, []).append(view)
        return found

    async def told(self, device: DeviceView, epoch: int) -> list[Told]:
        """What the device had said about itself by the end of an epoch, by code."""
        table = table_of("notices", "told")
        first, last = self._calendar.first_slot(epoch), self._calendar.last_slot(epoch)
        found = []
        for notice in device.notices:
            of_code = sa.and_(table.c.device == device.device, table.c.code == notice.code)
            newest = sa.select(table.c.value, table.c.since).order_by(table.c.boot.desc(), table.c.seq.desc()).limit(1)
            row = await self._one("notices", newest.where(of_code, table.c.slot <= last))
            if row is None:
                continue
            before = await self._one("notices", newest.where(of_code, table.c.slot < first))
            within = sa.select(table.c.seq).where(of_code, table.c.slot.between(first, last)).limit(TOLD_MAX)
            times = await self._one("notices", sa.select(sa.func.count()).select_from(within.subquery()))
            since = self._calendar.epoch_of(row.since)
            found.append(Told(notice.code, row.value, since, before.value if before else 0, times[0]))
        return found

    async def _pairs(self, store: str, statement: Any) -> dict[Any, int]:
        return {row[0]: row[1] for row in await self._rows(store, statement)}

    def _standing(self, row: Any, epoch: int) -> str:
        if row.standing == QUARANTINED:
            return "quarantined"
        if row.standing == REVOKED:
            return "revoked"
        age = epoch - self._calendar.epoch_of(row.enrolled_slot)
        return "vetting" if age < self._parameters(epoch).integer("reward_vetting_epochs") else "active"

    async def device_payouts(self, device: bytes, limit: int, before: int = NUMBER_MAX) -> list[PayoutView]:
        table = table_of("rewards", "payouts")
        of_device = sa.select(table).where(table.c.device == device, table.c.epoch < before)
        statement = of_device.order_by(table.c.epoch.desc()).limit(limit)
        return [PayoutView(*row[1:]) for row in await self._rows("rewards", statement)]

    async def device_presence(self, device: bytes, limit: int, before: int = NUMBER_MAX) -> list[PresenceView]:
        devices = table_of("identity", "devices")

        async def newest(name: str) -> Sequence[Any]:
            table = table_of("presence", name)
            of_device = sa.select(table).where(table.c.device == device, table.c.epoch < before)
            return await self._rows("presence", of_device.order_by(table.c.epoch.desc()).limit(limit))

        declared, running, closed = await asyncio.gather(
            self._one("identity", sa.select(devices.c.interval_s).where(devices.c.device == device)),
            newest("windows"),
            newest("presence"),
        )
        if declared is None:
            return []
        windows = self._calendar.windows(declared.interval_s)
        views = [PresenceView(row.epoch, marks(row.bitmap), windows) for row in running]
        views += [PresenceView(row.epoch, row.windows_present, row.windows) for row in closed]
        return views[:limit]

    async def readings(self, device: bytes, after_slot: int, limit: int) -> list[ReadingView]:
        table = table_of(INTAKE, "readings")
        statement = (
            sa.select(table)
            .where(table.c.device == device, table.c.slot > after_slot, table.c.public == 1)
            .order_by(table.c.slot, table.c.boot, table.c.seq, table.c.dt_ms)
            .limit(limit)
        )
        return [
            ReadingView(row.slot, row.boot, row.seq, row.dt_ms, reading_values(row.row))
            for row in await self._rows(INTAKE, statement)
        ]


def reading_values(data: bytes) -> list[int | None]:
    return [None if value == MISSING else value for value in wire.decoded(data)]


def _channels(row: Any) -> list[tuple[str, str, int]]:
    return [(name, unit, exponent) for name, unit, exponent in wire.decoded(row.channels)]
