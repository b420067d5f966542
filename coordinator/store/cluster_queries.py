"""Devices that behave as one: many keys of one owner that came at once, many that were away at once.

Both read a state table of all devices, and only once a batch. They accuse nobody: a house without power looks the same.
"""

import sqlalchemy as sa

from coordinator.kernel.operator_views import AWAY_TOGETHER, ENROLLED_TOGETHER, ClusterView
from coordinator.kernel.windows import marks

from .reads import Reads
from .schema import table_of

MEMBERS_MIN = 3
CLUSTERS_MAX = 20  # of each kind
GROUPS_MAX = 200  # that are looked at
SHOWN_MAX = 20  # devices of one cluster that are named


class ClusterQueries(Reads):
    async def clusters(self) -> list[ClusterView]:
        """The largest first, of each kind."""
        return await self._once_a_batch(("clusters",), self._clusters)

    async def _clusters(self) -> list[ClusterView]:
        return [*await self._enrolled_together(), *await self._away_together()]

    async def _enrolled_together(self) -> list[ClusterView]:
        table = table_of("identity", "devices")
        count = sa.func.count().label("members")
        groups = sa.select(table.c.owner, table.c.enrolled_slot, count).group_by(table.c.owner, table.c.enrolled_slot)
        found = []
        largest = groups.having(count >= MEMBERS_MIN).order_by(count.desc()).limit(CLUSTERS_MAX)
        for owner, slot, members in await self._rows("identity", largest):
            of_group = table.c.owner == owner, table.c.enrolled_slot == slot
            devices = await self._rows("identity", sa.select(table.c.device).where(*of_group).limit(SHOWN_MAX))
            found.append(ClusterView(ENROLLED_TOGETHER, slot, members, [row.device for row in devices]))
        return found

    async def _away_together(self) -> list[ClusterView]:
        """Those with the same windows of the running epoch, fewer than others have."""
        table = table_of("presence", "windows")
        epoch = self._calendar.epoch_of(max(0, self._live().beacon))
        count = sa.func.count().label("members")
        groups = sa.select(table.c.bitmap, count).where(table.c.epoch == epoch).group_by(table.c.bitmap)
        held = await self._rows("presence", groups.order_by(count.desc()).limit(GROUPS_MAX))
        most = max((marks(row.bitmap) for row in held), default=0)
        found = []
        away = [row for row in held if row.members >= MEMBERS_MIN and marks(row.bitmap) < most]
        for bitmap, members in away[:CLUSTERS_MAX]:
            of_group = table.c.epoch == epoch, table.c.bitmap == bitmap
            devices = await self._rows("presence", sa.select(table.c.device).where(*of_group).limit(SHOWN_MAX))
            found.append(ClusterView(AWAY_TOGETHER, marks(bitmap), members, [row.device for row in devices]))
        return found
