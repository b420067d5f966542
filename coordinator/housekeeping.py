"""What only files tell the operator's pages: releases on their way, the newest backup."""

import asyncio

from coordinator.backup.make import newest_noted
from coordinator.kernel.operator_views import RolloutView
from coordinator.store.home import Home
from coordinator.store.rollouts import Rollouts


class Housekeeping:
    """The web's port."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._rollouts = Rollouts(home.rollouts, home.releases)

    async def rollouts(self) -> list[RolloutView]:
        return await asyncio.to_thread(lambda: [self._rollouts.told(one) for one in self._rollouts.rollouts().values()])

    async def backup(self) -> tuple[int, int] | None:
        return await asyncio.to_thread(newest_noted, self._home)
