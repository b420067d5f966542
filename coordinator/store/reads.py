"""What all reads share: the stores, the network's calendar, and how far the network is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from coordinator.engine import wire
from coordinator.engine.genesis import Genesis
from coordinator.engine.header import HEADER_FILE, parse_header
from coordinator.engine.log import BUNDLE, TILE_HASHES, Tile, entries
from coordinator.kernel.parameters import Parameters
from coordinator.kernel.tables import TableState
from coordinator.modules.accounts import of_epoch
from device_client.core import cose

from .beacon_times import BeaconTimes
from .home import Home
from .log_files import LogFiles
from .prover import prover_of
from .published import PublishedFiles
from .schema import INTAKE, table_of
from .stores import Stores


class Live(NamedTuple):
    """What only the beacons tell: how far the network is."""

    beacon: int
    beacon_time: int
    reasons: dict[str, int]
    accounts: TableState  # with the changes of parameters


Kept = TypeVar("Kept")
KEPT_MAX = 64  # answers that are kept until the next batch


class Reads:
    """One data directory, read-only."""

    def __init__(self, stores: Stores, home: Home, genesis: Genesis, live: Callable[[], Live]) -> None:
        self._stores = stores
        self._home = home
        self._genesis = genesis
        self._calendar = genesis.parameters.calendar
        self._live = live
        self._kept: dict[tuple[object, ...], Any] = {}
        self._kept_at = -2
        self._parameters_at = (-2, 0)
        self._parameters_held = genesis.parameters
        self._log_files = LogFiles(home.log)
        self._published = PublishedFiles(home)
        self._prover = prover_of(home, genesis)
        self._proving = asyncio.Lock()
        self._beacon_times = BeaconTimes(home.beacons)
        self._header_id = lru_cache(maxsize=4096)(lambda batch: _header_id(home, genesis.hash, batch))

    def _parameters(self, epoch: int) -> Parameters:
        """Those by which an epoch is paid; kept until the next beacon, because every row of a list asks."""
        live = self._live()
        if self._parameters_at != (live.beacon, epoch):
            self._parameters_held = of_epoch(self._genesis.parameters, live.accounts, epoch)
            self._parameters_at = live.beacon, epoch
        return self._parameters_held

    async def _once_a_batch(self, key: tuple[object, ...], read: Callable[[], Awaitable[Kept]]) -> Kept:
        """What only a batch changes, and many pages show."""
        batch = await self._stores.applied(INTAKE)  # the last store that a batch is applied to
        if self._kept_at != batch or len(self._kept) > KEPT_MAX:
            self._kept, self._kept_at = {}, batch
        if key not in self._kept:
            kept = self._kept
            kept[key] = await read()  # kept for the batch at which it was begun, or for nobody
            return kept[key]  # type: ignore[no-any-return]
        return self._kept[key]  # type: ignore[no-any-return]

    async def _newest_closed(self, before: int | None = None) -> int:
        """The newest closed epoch, or that before one; -1 where there is none."""
        closed = table_of("rewards", "epochs")
        newest = sa.select(sa.func.max(closed.c.epoch))
        found = await self._one("rewards", newest if before is None else newest.where(closed.c.epoch < before))
        return -1 if found is None or found[0] is None else int(found[0])

    async def _rows(self, store: str, statement: Any) -> Sequence[Any]:
        return await self._stores.rows(store, statement)

    async def _one(self, store: str, statement: Any) -> Any:
        rows = await self._rows(store, statement.limit(1))
        return rows[0] if rows else None


def _header_id(home: Home, genesis: bytes, batch: int) -> bytes:
    path = home.batches / str(batch) / HEADER_FILE
    if path.exists():
        return wire.envelope(path.read_bytes(), cose.TYPE_HEADER, genesis).id
    # Its folder was moved away: the header behind it names it.
    number, index = divmod(batch + 1, TILE_HASHES)
    data = LogFiles(home.log).tile(Tile(BUNDLE, number, index + 1))
    assert data is not None, f"batch {batch} is neither in its folder nor in the log"
    return parse_header(entries(data)[index]).previous
