"""Stores with many devices of every sort, written straight into them, and reads that say how SQLite answers them."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from coordinator.engine.genesis import parse_genesis
from coordinator.found import found_network
from coordinator.modules import identity
from coordinator.store.home import Home
from coordinator.store.migrate import migrate
from coordinator.store.queries import Queries
from coordinator.store.reads import Live
from coordinator.store.schema import METADATA
from coordinator.store.stores import Stores
from device_client.core import cbor

EPOCH, NOW = 4, 43
VALUES = {"epoch_beacons": EPOCH, "reward_vetting_epochs": 3}
OWNERS = [bytes([number]) * 16 for number in (1, 2, 3)]
KINDS = [["temperature"], ["temperature", "humidity"], ["pm2_5"]]
# What may be walked: the kinds that a query has found itself.
SCANS_ALLOWED = ("SCAN kinds",)


class Watched(Queries):
    """Queries that keep what they asked."""

    asked: list[tuple[str, Any]]

    async def _rows(self, store: str, statement: Any) -> Any:
        self.asked.append((store, statement))
        return await super()._rows(store, statement)


def make(folder: Path, devices: int) -> None:
    home, random = Home(folder), Random(5)
    found_network(home, folder.with_suffix(".key"), "listed", VALUES, random.randbytes)
    for store in METADATA:
        migrate(store, home.stores / f"{store}.sqlite")
    rows, active = [], []
    for _ in range(devices):
        device, slot = random.randbytes(16), random.randrange(NOW)
        standing = random.choice([identity.ACTIVE] * 6 + [identity.QUARANTINED, identity.REVOKED])
        channels = cbor.encode([[name, "1", -2] for name in random.choice(KINDS)])
        owner = random.choice(OWNERS)
        rows.append((device, device * 2, owner, bytes(32), slot, 60, 1, 0, channels, standing, 0))
        active.append((device, random.randrange(3), random.randrange(slot, NOW)))
    with sqlite3.connect(home.stores / "identity.sqlite") as connection:
        connection.executemany(f"INSERT INTO devices VALUES ({','.join('?' * 11)})", sorted(rows))
        connection.executemany("INSERT INTO activity VALUES (?, ?, ?)", sorted(active))


@asynccontextmanager
async def reading(folder: Path) -> AsyncIterator[Watched]:
    home = Home(folder)
    stores = await Stores.open(home)
    try:
        genesis = parse_genesis(home.genesis.read_bytes())
        queries = Watched(stores, home, genesis, lambda: Live(NOW, 0, {}, {}))
        queries.asked = []
        yield queries
    finally:
        await stores.close()


def plans(folder: Path, asked: list[tuple[str, Any]]) -> dict[str, list[str]]:
    """By statement, the steps in which SQLite answers it."""
    found = {}
    for store, statement in asked:
        engine = sa.create_engine(f"sqlite:///{Home(folder).stores / f'{store}.sqlite'}")
        with engine.connect() as connection:
            compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
            values = tuple(compiled.params[name] for name in compiled.positiontup or ())
            text = str(compiled)
            if text not in found:
                steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
                found[text] = [row[3] for row in steps]
        engine.dispose()
    return found


def scans(steps: list[str]) -> list[str]:
    return [step for step in steps if step.startswith("SCAN") and not step.startswith(SCANS_ALLOWED)]
