"""Lists of devices by standing, owner, what they measure and silence: walks along indexes, never a scan.

One filter says along which index the walk goes (a leg, or several), the others are looked at on the way:

    owner                     devices (owner, device)
    standing, but active      devices (standing, enrolled_slot, device)     vetting is a range of enrolled_slot
    silent_since              activity (last_slot, device)                  the longest silent first
    measures                  devices (channels, device)                    a leg for each kind that measures it
    active                    devices (standing, enrolled_slot, device)
    none                      devices (device)

At most LOOKED_AT_MAX devices are looked at for one page, so its cost does not depend on how many there are.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from coordinator.engine import wire
from coordinator.kernel.filters import DeviceFilter, DevicePage, DevicePlace
from coordinator.modules.identity import ACTIVE, QUARANTINED, REVOKED

from .device_queries import DeviceQueries
from .schema import table_of

LOOKED_AT_MAX = 5_000
ROWS_AT_ONCE = 500
KINDS_MAX = 1_000  # different sets of channels; devices of others are not found by what they measure
_FIXED = {"quarantined": QUARANTINED, "revoked": REVOKED}
# From one kind to the next: as many steps as there are kinds, not devices.
_KINDS = sa.text(
    "WITH RECURSIVE kinds(channels) AS (SELECT min(channels) FROM devices UNION ALL SELECT (SELECT min(channels)"
    " FROM devices WHERE devices.channels > kinds.channels) FROM kinds WHERE kinds.channels IS NOT NULL LIMIT :most)"
    " SELECT channels FROM kinds WHERE channels IS NOT NULL"
)


class Leg(NamedTuple):
    """A walk along an index of `table`: rows that have `fixed`, in the order of (`order`, device), `order` from `low`
    to before `high`. Without `order` in that of devices; then `low` is the number of its places."""

    table: sa.Table
    fixed: tuple[Any, ...] = ()
    order: sa.ColumnElement[int] | None = None
    low: int = 0
    high: int | None = None

    def rows(self, after: DevicePlace | None, limit: int) -> sa.Select[Any]:
        """The next ones behind a place."""
        device, order = self.table.c.device, self.order
        where = list(self.fixed)
        if order is None:
            number: Any = sa.literal(self.low)
            where.append(device > (after.device if after is not None and after.number == self.low else b""))
        else:
            number = order
            if after is not None and after.number >= self.low:
                where.append(sa.tuple_(order, device) > sa.tuple_(sa.literal(after.number), sa.literal(after.device)))
            else:
                where.append(order >= self.low)
            if self.high is not None:
                where.append(order < self.high)
        by = (device,) if order is None else (order, device)
        return sa.select(device, number.label("number")).where(*where).order_by(*by).limit(limit)


class ListQueries(DeviceQueries):
    async def devices_where(self, chosen: DeviceFilter, after: DevicePlace | None, limit: int) -> DevicePage:
        """Those that a filter asks for, behind a place."""
        found: list[tuple[Any, DevicePlace]] = []
        looked_at, place, count = 0, after, limit + 1
        for leg in await self._legs(chosen):
            if leg.order is None and after is not None and leg.low < after.number:
                continue  # walked before
            while looked_at < LOOKED_AT_MAX:
                walked = await self._rows("identity", leg.rows(place, count))
                kept = await self._fitting([row.device for row in walked], chosen)
                looked_at += len(walked)
                for row in walked:
                    place = DevicePlace(row.number, row.device)
                    if row.device in kept:
                        found.append((kept[row.device], place))
                if len(found) > limit:
                    return await self._page(found[:limit], found[limit - 1][1])
                if len(walked) < count:
                    break
                count = ROWS_AT_ONCE
            else:
                return await self._page(found, place)
        return await self._page(found, None)

    async def measures(self) -> list[str]:
        """Names of all channels that devices have."""
        names = {name for names in (await self._kinds()).values() for name in names}
        return sorted(names)

    async def _page(self, found: Sequence[tuple[Any, DevicePlace]], following: DevicePlace | None) -> DevicePage:
        return DevicePage(await self._device_views([row for row, _ in found]) if found else [], following)

    async def _legs(self, chosen: DeviceFilter) -> list[Leg]:
        devices, activity = table_of("identity", "devices"), table_of("identity", "activity")
        if chosen.owner:
            return [Leg(devices, (devices.c.owner == chosen.owner,))]
        enrolled, vetting = devices.c.enrolled_slot, self._vetting_slot()
        if chosen.standing in _FIXED:
            return [Leg(devices, (devices.c.standing == _FIXED[chosen.standing],), enrolled)]
        if chosen.standing == "vetting":
            return [Leg(devices, (devices.c.standing == ACTIVE,), enrolled, vetting)]
        if chosen.silent_since is not None:
            return [Leg(activity, (), activity.c.last_slot, 0, chosen.silent_since)]
        if chosen.measures:
            kinds = [kind for kind, names in (await self._kinds()).items() if chosen.measures in names]
            made = [Leg(devices, (devices.c.channels == kind,), None, _number(kind)) for kind in kinds]
            return sorted(made, key=lambda leg: leg.low)
        if chosen.standing == "active":
            return [Leg(devices, (devices.c.standing == ACTIVE,), enrolled, 0, vetting)]
        return [Leg(devices)]

    def _vetting_slot(self) -> int:
        """Active devices that enrolled in this slot or later are in vetting."""
        epoch = self._calendar.epoch_of(max(0, self._live().beacon))
        first = epoch - self._parameters(epoch).integer("reward_vetting_epochs") + 1
        return self._calendar.first_slot(max(0, first))

    async def _fitting(self, ids: Sequence[bytes], chosen: DeviceFilter) -> dict[bytes, Any]:
        """By device, the row of those for which all of the filter is true."""
        if not ids:
            return {}
        devices, activity = table_of("identity", "devices"), table_of("identity", "activity")
        rows = await self._rows("identity", sa.select(devices).where(devices.c.device.in_(ids)))
        heard: dict[bytes, int] = {}
        if chosen.silent_since is not None:
            last = sa.select(activity.c.device, activity.c.last_slot).where(activity.c.device.in_(ids))
            heard = await self._pairs("identity", last)
        epoch = self._calendar.epoch_of(max(0, self._live().beacon))
        return {
            row.device: row
            for row in rows
            if (not chosen.owner or row.owner == chosen.owner)
            and (not chosen.standing or self._standing(row, epoch) == chosen.standing)
            and (not chosen.measures or chosen.measures in _names(row.channels))
            and (chosen.silent_since is None or heard.get(row.device, 0) < chosen.silent_since)
        }

    async def _kinds(self) -> dict[bytes, frozenset[str]]:
        """Names of channels, by what is declared."""
        return await self._once_a_batch(("kinds",), self._read_kinds)

    async def _read_kinds(self) -> dict[bytes, frozenset[str]]:
        rows = await self._rows("identity", _KINDS.bindparams(most=KINDS_MAX))
        return {row[0]: _names(row[0]) for row in rows}


def _names(channels: bytes) -> frozenset[str]:
    return frozenset(name for name, _, _ in wire.decoded(channels))


def _number(kind: bytes) -> int:
    """The same for a kind in every batch, so that a place stays where it is."""
    return int.from_bytes(hashlib.sha256(kind).digest()[:7])
