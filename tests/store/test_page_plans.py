"""Pages of the whole network read by index: SQLite says how it would find the rows."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import h3.api.basic_int as h3
import sqlalchemy as sa

from coordinator.kernel.epochs import Calendar
from coordinator.kernel.views import PayoutView
from coordinator.store.day_queries import DayQueries
from coordinator.store.migrate import migrate
from coordinator.store.place_queries import PlaceQueries
from coordinator.store.schema import table_of
from coordinator.store.stub_queries import StubQueries
from coordinator.store.uptime_queries import UptimeQueries

STORES = "identity", "presence", "rewards", "ledger"
TOWN = h3.latlng_to_cell(53.55, 9.99, 5)


class Explained(UptimeQueries, DayQueries, PlaceQueries, StubQueries):
    """Empty stores but for a device and an epoch; `steps` are those of the plans of all that was read."""

    def __init__(self, folder: Path) -> None:
        self._calendar = Calendar(60, 1, 4, 1, 1)
        self._beacon_times = lambda slot: 60 * slot  # type: ignore[assignment]
        self.steps: list[str] = []
        self.engines = {store: sa.create_engine(f"sqlite:///{folder / store}.sqlite") for store in STORES}
        for store in STORES:
            migrate(store, folder / f"{store}.sqlite")
        self._put("identity", "devices", device=b"d" * 16, place=TOWN)
        self._put("rewards", "epochs", epoch=3)

    def _put(self, store: str, name: str, **known: object) -> None:
        table = table_of(store, name)
        row = {each.name: b"" if isinstance(each.type, sa.LargeBinary) else 0 for each in table.columns}
        with self.engines[store].begin() as connection:
            connection.execute(table.insert().values(row | known))

    async def _rows(self, store: str, statement: Any) -> Sequence[Any]:
        bound = statement.compile(self.engines[store], compile_kwargs={"literal_binds": True})
        with self.engines[store].connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {bound}").all()
            self.steps += [step[3] for step in plan]
            return connection.execute(statement).all()

    async def _once_a_batch(self, key: tuple[object, ...], read: Callable[[], Awaitable[Any]]) -> Any:
        return await read()

    def close(self) -> None:
        for engine in self.engines.values():
            engine.dispose()


def test_no_page_scans_what_grows(tmp_path: Path) -> None:
    explained = Explained(tmp_path)

    async def read() -> None:
        for missed in (False, True):
            for before in (None, 9):
                view = await explained.uptime(b"", before, 60, 50, missed)
                assert view is not None and [row.up[-1] for row in view.rows] == [(0, 4)]
        assert [(day.first, day.last) for day in await explained.days(None, 9)] == [(0, 3)]
        assert await explained._placed_behind(TOWN, (0, b""))

    asyncio.run(read())
    assert len(explained.steps) > 15
    assert not [step for step in explained.steps if step.startswith("SCAN") or "TEMP B-TREE" in step], explained.steps
    explained.close()


def test_a_pay_stub_reads_postings_of_its_holder_only(tmp_path: Path) -> None:
    """Not those that an epoch made for everybody, although they have an index too."""
    explained = Explained(tmp_path)
    fields = dict.fromkeys(PayoutView._fields, 0) | {"epoch": 3, "device": b"d" * 16, "owner": b"o" * 16}
    paid, withheld, released = ({"paid": 2}, {"withheld": 1, "paid": 1}, {"released": 1})

    async def read() -> None:
        for amounts in paid, withheld, released:
            await explained._postings_of(PayoutView(**fields | amounts))

    asyncio.run(read())
    of_holder = [step for step in explained.steps if "SEARCH postings" in step]
    assert len(of_holder) == 3
    assert all("holder_epoch (" in step for step in of_holder), of_holder
    explained.close()
