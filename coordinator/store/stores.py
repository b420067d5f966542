"""The module stores: one SQLite file each. A batch is applied to each in one transaction that also sets `applied`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from coordinator import crash
from coordinator.engine import wire
from coordinator.engine.inputs import Memories
from coordinator.kernel.tables import Delta, Key, Row, TableState
from coordinator.modules.sensing import Memory
from device_client.core import cbor

from .home import Home
from .migrate import migrate
from .schema import INTAKE, METADATA, STATE, table_of


class Stores:
    """All stores of one data directory. Open with `await Stores.open(home)`, end with `close`."""

    def __init__(self, engines: dict[str, AsyncEngine]) -> None:
        self._engines = engines

    @classmethod
    async def open(cls, home: Home, read_only: bool = False) -> "Stores":
        """Migrate and open; read-only leaves the files to a coordinator that may be running. Raises OSError."""
        engines = {}
        for store in METADATA:
            path = home.stores / f"{store}.sqlite"
            if not read_only:
                with _storage_errors(store):
                    await asyncio.to_thread(migrate, store, path)
            engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
            sa.event.listen(engine.sync_engine, "connect", _set_pragmas)
            engines[store] = engine
        return cls(engines)

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.dispose()

    def connect(self, store: str) -> AsyncConnection:
        """A connection to read with: `async with stores.connect(store) as connection`."""
        return self._engines[store].connect()

    async def applied(self, store: str) -> int:
        """Number of the last batch in a store, -1 for none. Raises OSError."""
        with _storage_errors(store):
            async with self.connect(store) as connection:
                applied = await connection.scalar(sa.select(table_of(store, "meta").c.applied))
        assert isinstance(applied, int), f"store {store} has no meta row"
        return applied

    async def load(self, store: str) -> TableState:
        """All state tables of a store, as the rules want them."""
        state: dict[str, dict[Key, Row]] = {}
        async with self.connect(store) as connection:
            for table in STATE[store]:
                rows = (await connection.execute(sa.select(table_of(store, table.name)))).all()
                state[table.name] = {tuple(row[: table.key]): tuple(row[table.key :]) for row in rows}
        return state

    async def apply(self, store: str, batch: int, delta: Delta, records: Mapping[str, Sequence[Row]]) -> None:
        """Take over one batch, in one transaction. One that is in already changes nothing. Raises OSError."""
        if await self.applied(store) >= batch:
            return
        async with self._begun(store) as connection:
            for table in STATE[store]:
                await _change(connection, store, table.name, table.key, delta.get(table.name, {}))
            for name, rows in records.items():
                if rows:
                    made = table_of(store, name)
                    names = [column.name for column in made.columns]
                    values = [dict(zip(names, (batch, *row), strict=True)) for row in rows]
                    await connection.execute(sa.insert(made), values)
            await connection.execute(sa.update(table_of(store, "meta")).values(applied=batch))
        crash.reached("mid_apply")

    @contextlib.asynccontextmanager
    async def _begun(self, store: str) -> AsyncIterator[AsyncConnection]:
        with _storage_errors(store):
            async with self._engines[store].begin() as connection:
                yield connection

    async def memories(self) -> Memories:
        """What sensing remembers of each device."""
        state = await self.load(INTAKE)
        return {
            key[0]: Memory(row[0], row[1], tuple(wire.decoded(row[2])), tuple(wire.decoded(row[3])))  # type: ignore[arg-type,misc]
            for key, row in state["memories"].items()
        }

    async def count_refusals(self, by_device: Mapping[tuple[bytes, int], int], reasons: Mapping[int, int]) -> None:
        """Write down the running counts of the intake; they belong to no batch."""
        async with self._begun(INTAKE) as connection:
            refused: dict[Key, Row | None] = {key: (count,) for key, count in by_device.items()}
            await _change(connection, INTAKE, "refused", 2, refused)
            counted: dict[Key, Row | None] = {(code,): (count,) for code, count in reasons.items()}
            await _change(connection, INTAKE, "reasons", 1, counted)


def store_names() -> list[str]:
    return list(METADATA)


@contextlib.contextmanager
def _storage_errors(store: str) -> Iterator[None]:
    """What the database cannot do (full, locked) is an OSError like any other failing disk."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise OSError(f"store {store}: {error.orig}") from error


def intake_delta(memories: Memories) -> Delta:
    return {
        "memories": {
            (device,): (one.boot, one.seq, cbor.encode(list(one.values)), cbor.encode(list(one.runs)))
            for device, one in memories.items()
        }
    }


async def _change(
    connection: AsyncConnection, store: str, name: str, key: int, changes: Mapping[Key, Row | None]
) -> None:
    """Delete the changed keys, insert the rows that remain: portable, and two statements for any number of rows."""
    if not changes:
        return
    made = table_of(store, name)
    columns = list(made.columns)
    where = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in columns[:key]))
    keys: list[dict[str, Any]] = [
        {f"key_{column.name}": value for column, value in zip(columns, row_key, strict=False)} for row_key in changes
    ]
    await connection.execute(sa.delete(made).where(where), keys)
    rows: list[dict[str, Any]] = [
        dict(zip((column.name for column in columns), (*row_key, *row), strict=True))
        for row_key, row in changes.items()
        if row is not None
    ]
    if rows:
        await connection.execute(sa.insert(made), rows)


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
