"""The module stores: one SQLite file each. A batch is applied to each in one transaction that also sets `applied`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from coordinator import crash
from coordinator.engine.measuring import Memories
from coordinator.kernel.tables import Changed, Delta, Key, Records, Row, deleted_keys, rows_in, rows_set
from device_client.core import cbor

from . import totals
from .home import Home
from .look import failure, look_at_all
from .migrate import migrate
from .reading import Reading
from .schema import INTAKE, METADATA, STATE, table_of
from .state_rows import StoreState

WAL_BYTES_MAX = 4 << 20  # about what SQLite itself lets it grow to when nobody reads
ROWS_AT_ONCE = 2000


class Stores:
    """All stores of one data directory. Open with `await Stores.open(home)`, end with `close`."""

    def __init__(self, home: Home, engines: dict[str, AsyncEngine]) -> None:
        self._home = home
        self._engines = engines
        self._reading = Reading({store: home.store(store) for store in engines})
        self._state: StoreState | None = None

    @classmethod
    async def open(cls, home: Home, read_only: bool = False) -> "Stores":
        """Migrate and open; read-only leaves the files to a coordinator that may be running.

        Raises OSError; StoreBroken where a store of a network with batches is missing or broken.
        """
        if not read_only:
            await asyncio.to_thread(look_at_all, home, list(METADATA))
        engines = {}
        for store in METADATA:
            path = home.store(store)
            if not read_only:
                with _storage_errors(store, path):
                    await asyncio.to_thread(migrate, store, path)
            engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
            sa.event.listen(engine.sync_engine, "connect", _set_pragmas)
            engines[store] = engine
        return cls(home, engines)

    async def close(self) -> None:
        """The last connection to a store brings its write-ahead log into the file."""
        if self._state is not None:
            self._state.close()
        await self._reading.close()
        for engine in self._engines.values():
            await engine.dispose()

    async def rows(self, store: str, statement: sa.Executable) -> Sequence[Any]:
        """All rows of a query, which bounds them itself. Raises OSError."""
        return await self._reading.rows(store, statement)

    async def applied(self, store: str) -> int:
        """Number of the last batch in a store, -1 for none. Raises OSError."""
        rows = await self.rows(store, sa.select(table_of(store, "meta").c.applied))
        assert len(rows) == 1, f"store {store} has no meta row"
        return int(rows[0].applied)

    def state(self) -> StoreState:
        """The state as the rules want it, read when they ask for it; every store must be at the newest batch.

        Raises OSError.
        """
        assert self._state is None, "one coordinator, one state"
        self._state = StoreState(self._home.store, STATE)
        return self._state

    async def checkpoint(self) -> None:
        """Between two batches: keep the write-ahead logs short. Raises OSError."""
        if self._state is not None:
            await asyncio.to_thread(self._state.checkpoint, WAL_BYTES_MAX)

    async def load(self, store: str, *names: str) -> dict[str, dict[Key, Row]]:
        """Whole state tables of a store, all unless some are named: for what is small."""
        state: dict[str, dict[Key, Row]] = {}
        for table in STATE[store]:
            if names and table.name not in names:
                continue
            rows = await self.rows(store, sa.select(table_of(store, table.name)))
            state[table.name] = {tuple(row[: table.key]): tuple(row[table.key :]) for row in rows}
        return state

    async def apply(self, store: str, batch: int, delta: Delta, records: Mapping[str, Records]) -> None:
        """Take over one batch, in one transaction. One that is in already changes nothing. Raises OSError."""
        if await self.applied(store) >= batch:
            return
        async with self._begun(store) as connection:
            for table in STATE[store]:
                await _change(connection, store, table.name, table.key, delta.get(table.name, {}))
            before = await _newest_rows(connection, store, records)
            adding = [
                (newest, sql) for of, sql in totals.ADDING.get(store, ()) if (newest := before.get(of)) is not None
            ]
            for name, rows in records.items():
                await _append(connection, table_of(store, name), batch, rows)
            for newest, sql in adding:
                await connection.exec_driver_sql(sql, (newest,))
            await connection.execute(sa.update(table_of(store, "meta")).values(applied=batch))
        crash.reached("mid_apply")

    async def erase(self, store: str, statement: sa.Delete) -> None:
        """Delete rows so that their place on the disk is overwritten. Raises OSError."""
        with self._errors(store):
            async with self._engines[store].connect() as connection:
                await connection.exec_driver_sql("PRAGMA secure_delete=ON")
                await connection.execute(statement)
                await connection.commit()
                await connection.exec_driver_sql("PRAGMA secure_delete=OFF")

    @contextlib.asynccontextmanager
    async def _begun(self, store: str) -> AsyncIterator[AsyncConnection]:
        with self._errors(store):
            async with self._engines[store].begin() as connection:
                yield connection

    def _errors(self, store: str) -> contextlib.AbstractContextManager[None]:
        return _storage_errors(store, self._home.store(store))

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
def _storage_errors(store: str, path: Path) -> Iterator[None]:
    """What the database cannot do (full, locked) is an OSError like any other failing disk."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise failure(store, path, error.orig) from error


def intake_delta(memories: Memories) -> Delta:
    return {
        "memories": {
            (device,): (one.boot, one.seq, cbor.encode(list(one.values)), cbor.encode(list(one.runs)))
            for device, one in memories.items()
        }
    }


async def _append(connection: AsyncConnection, made: sa.Table, batch: int, rows: Records) -> None:
    """Records of a batch, whose number stands in the statement itself: the rows go to the database as they are."""
    number, *columns = made.columns
    values: dict[Any, Any] = {column: sa.bindparam(column.name) for column in columns}
    await _each(connection, sa.insert(made).values({number: sa.literal_column(str(batch)), **values}), rows)


async def _newest_rows(connection: AsyncConnection, store: str, records: Mapping[str, Records]) -> dict[str, int]:
    """By record table that has totals and gets rows: the number of its newest row."""
    wanted = {of for of, _ in totals.ADDING.get(store, ()) if len(records.get(of, ()))}
    return {of: int(await connection.scalar(sa.text(totals.newest_row(of))) or 0) for of in sorted(wanted)}


async def _change(connection: AsyncConnection, store: str, name: str, key: int, changes: Changed) -> None:
    """Delete rows and set rows: two statements for any number of them. A row that is there already keeps its place in
    every index whose columns did not change."""
    made = table_of(store, name)
    columns = list(made.columns)
    where = sa.and_(*(column == sa.bindparam(f"key_{column.name}") for column in columns[:key]))
    await _each(connection, sa.delete(made).where(where), deleted_keys(changes))
    setting = insert(made)
    kept = {column.name: setting.excluded[column.name] for column in columns[key:]}
    upsert = setting.on_conflict_do_update(index_elements=columns[:key], set_=kept)
    await _each(connection, upsert, rows_set(changes))


async def _each(connection: AsyncConnection, statement: sa.ClauseElement, rows: Records) -> None:
    """Run a statement with each row, whose values stand in the order of its parameters. As text and tuples: bytes and
    integers need none of what SQLAlchemy does to a value, and it costs more than SQLite's own work."""
    if not len(rows):
        return
    compiled = statement.compile(dialect=connection.dialect)
    for at in range(0, len(rows), ROWS_AT_ONCE):
        await connection.exec_driver_sql(str(compiled), rows_in(rows[at : at + ROWS_AT_ONCE]))


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
