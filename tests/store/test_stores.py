"""A store holds exactly what was applied to it: whole batches, once each, whatever happens in the middle."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.measuring import Memories
from coordinator.kernel.rows import applied
from coordinator.kernel.tables import BLOB, Column, Delta, Key, Row
from coordinator.modules.sensing import Memory
from coordinator.store.home import Home
from coordinator.store.schema import INTAKE, RECORDS, STATE, table_of
from coordinator.store.stores import Stores, intake_delta

LIMITS = {"B": (0, 255), "I": (0, 2**32 - 1), "Q": (0, 2**63 - 1), "q": (-(2**63), 2**63 - 1)}


def value(column: Column) -> st.SearchStrategy[Any]:
    if column.type == BLOB:
        return st.binary(max_size=20)
    if column.type.endswith("s"):
        size = int(column.type[:-1])
        return st.binary(min_size=size, max_size=size)
    return st.integers(*LIMITS[column.type])


def deltas(store: str) -> st.SearchStrategy[Delta]:
    """Changes to a store's state: rows set and rows deleted, few keys so that they meet again."""

    def of(table: Any) -> st.SearchStrategy[dict[Key, Row | None]]:
        columns = [value(column) for column in table.columns]
        key = st.tuples(*(strategy.map(lambda found: found) for strategy in columns[: table.key]))
        row = st.none() | st.tuples(*columns[table.key :])
        return st.dictionaries(key, row, max_size=4)

    return st.fixed_dictionaries({table.name: of(table) for table in STATE[store]})


def with_stores(folder: Path, work: Callable[[Stores], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        home = Home(folder)
        home.make()
        stores = await Stores.open(home)
        try:
            return await work(stores)
        finally:
            await stores.close()

    return asyncio.run(run())


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_what_is_loaded_is_what_was_applied(data: st.DataObject) -> None:
    """All stores, three batches, read back by another process's worth of `Stores`."""
    batches = {store: data.draw(st.lists(deltas(store), min_size=1, max_size=3), label=store) for store in STATE}

    async def apply_all(stores: Stores) -> None:
        for store, found in batches.items():
            for number, delta in enumerate(found):
                # Some deletions of rows that are there: those of the batch before.
                again = {name: dict.fromkeys(rows) for name, rows in (found[number - 1] if number else {}).items()}
                await stores.apply(store, number, {name: {**again.get(name, {}), **delta[name]} for name in delta}, {})

    async def check(stores: Stores) -> None:
        for store, found in batches.items():
            expected: Any = {table.name: {} for table in STATE[store]}
            for number, delta in enumerate(found):
                again = {name: dict.fromkeys(rows) for name, rows in (found[number - 1] if number else {}).items()}
                expected = applied(expected, {name: {**again.get(name, {}), **delta[name]} for name in delta})
            assert await stores.load(store) == expected
            assert await stores.applied(store) == len(found) - 1

    with TemporaryDirectory() as folder:
        with_stores(Path(folder), apply_all)
        with_stores(Path(folder), check)


def record(store: str, name: str, fill: int) -> Row:
    """A row of a record table with every value `fill`."""
    table = next(one for one in RECORDS[store] if one.name == name)
    return tuple(
        bytes((fill,)) * (int(column.type[:-1]) if column.type != BLOB else 3)
        if column.type == BLOB or column.type.endswith("s")
        else fill
        for column in table.columns
    )


async def contents(stores: Stores, store: str) -> dict[str, list[Any]]:
    return {
        table.name: sorted(await stores.rows(store, sa.select(table_of(store, table.name))))
        for table in (*STATE[store], *RECORDS[store])
    }


@pytest.mark.parametrize("store", sorted(STATE))
def test_a_batch_applied_twice_is_applied_once(store: str, tmp_path: Path) -> None:
    records = {table.name: [record(store, table.name, 7)] for table in RECORDS[store]}

    async def work(stores: Stores) -> None:
        await stores.apply(store, 0, {}, records)
        once = await contents(stores, store)
        assert all(len(once[name]) == 1 and once[name][0][0] == 0 for name in records)
        await stores.apply(store, 0, {}, records)
        assert await contents(stores, store) == once
        await stores.apply(store, 1, {}, records)
        assert all(len(rows) == 2 for name, rows in (await contents(stores, store)).items() if name in records)

    with_stores(tmp_path, work)


@pytest.mark.parametrize("store", sorted(store for store in STATE if RECORDS[store]))
def test_an_error_in_the_middle_leaves_the_store_as_it_was(store: str, tmp_path: Path) -> None:
    """The state is changed before the records are written, so a record that does not fit fails in the middle."""
    last = RECORDS[store][-1]
    state = STATE[store][0] if STATE[store] else None

    async def work(stores: Stores) -> None:
        before = await contents(stores, store)
        delta: Delta = {}
        if state is not None:
            row = tuple(b"\x01" * 16 if c.type == BLOB or c.type.endswith("s") else 1 for c in state.columns)
            delta = {state.name: {row[: state.key]: row[state.key :]}}
        good = record(store, last.name, 3)
        for bad in ((*good[:-1], None), good[:-1]):
            with pytest.raises((OSError, ValueError, sa.exc.SQLAlchemyError)):
                await stores.apply(store, 0, delta, {last.name: [good, bad]})
            assert await stores.applied(store) == -1
            assert await contents(stores, store) == before
        await stores.apply(store, 0, delta, {last.name: [good]})
        assert await stores.applied(store) == 0

    with_stores(tmp_path, work)


def test_memories_come_back(tmp_path: Path) -> None:
    memories: Memories = {bytes((n,)) * 16: Memory(n + 1, 9, (1, -(2**62)), (n, 2)) for n in range(3)}

    async def work(stores: Stores) -> None:
        await stores.apply(INTAKE, 0, intake_delta(memories), {})
        found = stores.state().remembered([*memories, bytes((9,)) * 16])
        assert found == memories

    with_stores(tmp_path, work)


def test_counts_of_refusals_are_replaced_not_added(tmp_path: Path) -> None:
    async def work(stores: Stores) -> None:
        device = bytes(16)
        await stores.count_refusals({(device, 66): 5}, {66: 5})
        await stores.count_refusals({(device, 66): 7}, {66: 7, 64: 1})
        held = await stores.load(INTAKE)
        assert held["refused"] == {(device, 66): (7,)} and held["reasons"] == {(66,): (7,), (64,): (1,)}
        assert await stores.applied(INTAKE) == -1

    with_stores(tmp_path, work)
