"""State that lies in the stores: the same answers as a dictionary's, and those of before until the batch is adopted."""

import asyncio
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.rows import EACH_ROWS, Overlaid, Rows, rows_of
from coordinator.kernel.tables import Delta, Key, Row
from coordinator.store import stores
from coordinator.store.home import Home
from coordinator.store.schema import METADATA
from coordinator.store.state_rows import PAGE_ROWS, StoreRows, StoreState
from coordinator.store.stores import Stores
from tests.kernel.oracle import CHANGES, KEYS, after, same

from .test_stores import with_stores

VALUES = ("SCAN 2 CONSTANT ROWS", "SCAN wanted")  # the keys that were asked for
STORE, TABLE = "presence", "windows"  # its key is (device, epoch)


def as_bitmaps(changes: dict[Key, Row | None]) -> dict[Key, Row | None]:
    return {key: row and (bytes((int(row[0]),)),) for key, row in changes.items()}


async def apply(at: Stores, number: int, delta: Delta) -> None:
    for store in METADATA:
        await at.apply(store, number, delta if store == STORE else {}, {})


def prefetched(rows: Rows, keys: Iterable[Key], length: int) -> None:
    rows.prefetch(key[:length] for key in keys)


@settings(max_examples=25, deadline=None)
@given(st.lists(CHANGES.map(as_bitmaps), min_size=1, max_size=4), st.lists(KEYS, max_size=5), st.integers(0, 2))
def test_the_same_as_a_dictionary_before_under_and_after_each_batch(
    deltas: list[dict[Key, Row | None]], asked: list[Key], length: int
) -> None:
    async def work(at: Stores) -> None:
        state = at.state()
        rows = rows_of(state[STORE], TABLE)
        assert isinstance(rows, StoreRows)
        expected: dict[Key, Row] = {}
        for number, changes in enumerate(deltas):
            if length:
                prefetched(rows, asked, length)
            same(rows, expected, asked)
            then = after(expected, changes)
            overlay: Rows = Overlaid(rows, changes)
            if length:
                prefetched(overlay, asked, length)
            same(overlay, then, asked)
            same(Overlaid(overlay, dict.fromkeys(asked)), after(then, dict.fromkeys(asked)), asked)
            await apply(at, number, {TABLE: changes})
            same(rows, expected, asked)  # applied, but nobody has gone on yet
            same(overlay, then, asked)
            state.advance(number, {}, {})
            expected = then
            same(rows, expected, asked)

    with TemporaryDirectory() as folder:
        with_stores(Path(folder), work)


def test_more_rows_than_a_page_and_more_keys_than_a_query(tmp_path: Path) -> None:
    count = 2 * PAGE_ROWS + 1
    changes: dict[Key, Row | None] = {(number.to_bytes(16, "big"), number % 2): (b"x",) for number in range(count)}

    async def work(at: Stores) -> None:
        await apply(at, 0, {TABLE: changes})
        state = at.state()
        rows = rows_of(state[STORE], TABLE)
        assert list(rows.items()) == sorted(changes.items())
        odd = [key for key in changes if key[1]]
        assert [key for key, _ in rows.having(1, 1)] == odd
        queries, read = state.queries, state.rows_read
        assert [key for key, row in rows.each(odd) if row] == odd
        assert state.queries - queries == -(-len(odd) // EACH_ROWS)
        rows.prefetch(odd)
        queries, read = state.queries, state.rows_read
        assert all(key in rows and rows[key] for key in odd)
        assert (state.queries, state.rows_read) == (queries, read), "read again what was there"

    with_stores(tmp_path, work)


def test_ranges_are_answered_from_an_index(tmp_path: Path) -> None:
    plans: list[str] = []

    async def work(at: Stores) -> None:
        state = at.state()
        asked: list[str] = []
        for module, name in (("presence", "windows"), ("sensing", "tallies"), ("identity", "chains")):
            rows: Any = rows_of(state[module], name)
            rows._reader._connection.set_trace_callback(asked.append)
            list(rows.under((bytes(16),)))
            list(rows.each([(bytes(16), 1), (bytes(16), 2)]))
            if name != "chains":
                list(rows.having(1, 7))
            rows._reader._connection.set_trace_callback(None)
            for sql in asked:
                plan = rows._reader._connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
                plans.extend(f"{name}: {step[3]}" for step in plan)
            asked.clear()

    with_stores(tmp_path, work)
    assert not [
        step for step in plans if ("SCAN" in step and step.split(": ")[1] not in VALUES) or "TEMP B-TREE" in step
    ], plans
    assert sum("epoch_device" in step for step in plans) == 2, plans


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    changes: dict[Key, Row | None] = {
        (number.to_bytes(16, "big"), 0): (bytes((number % 256,)),) for number in range(999)
    }

    async def work(at: Stores) -> None:
        await apply(at, 0, {TABLE: changes})
        rows = rows_of(at.state()[STORE], TABLE)
        keys = list(changes) * 3
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(rows.get, keys))
            ranges = list(threads.map(lambda key: list(rows.under(key[:1])), keys))
        assert found == [changes[key] for key in keys]
        assert ranges == [[(key, changes[key])] for key in keys]

    with_stores(tmp_path, work)


def test_a_store_that_was_not_applied_is_a_fault(tmp_path: Path) -> None:
    async def work(at: Stores) -> None:
        state = at.state()
        await at.apply("identity", 0, {}, {})
        with pytest.raises(AssertionError, match="store presence is at batch -1, not 0"):
            state.advance(0, {}, {})
        await apply(at, 0, {})
        state.advance(0, {}, {})
        state.advance(0, {}, {})  # again changes nothing

    with_stores(tmp_path, work)


def test_what_cannot_be_read_is_an_oserror(tmp_path: Path) -> None:
    async def work(at: Stores) -> None:
        state = at.state()
        with sqlite3.connect(tmp_path / "private/stores/presence.sqlite") as connection:
            connection.execute("DROP TABLE windows")
        state["presence"]["windows"].get((bytes(16), 0))  # that moment still has it
        state.advance(-1, {}, {})
        with pytest.raises(OSError, match="store presence: no such table"):
            state["presence"]["windows"].get((bytes(16), 0))
        with pytest.raises(OSError, match="store presence: no such table"):
            list(state["presence"]["windows"])

    with_stores(tmp_path, work)
    with pytest.raises(OSError, match="store ledger: "):
        StoreState(Home(tmp_path / "nowhere").store, {"ledger": ()})


def test_the_write_ahead_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "WAL_BYTES_MAX", 200_000)
    wal = tmp_path / f"private/stores/{STORE}.sqlite-wal"
    sizes = []

    async def work(at: Stores) -> None:
        state = at.state()
        for number in range(40):
            changes: dict[Key, Row | None] = {(bytes((number, n)) * 8, 0): (bytes(100),) for n in range(200)}
            await apply(at, number, {TABLE: changes})
            state.advance(number, {}, {})
            await at.checkpoint()
            sizes.append(wal.stat().st_size)
            assert len(list(rows_of(state[STORE], TABLE).under((bytes((number, 7)) * 8,)))) == 1

    with_stores(tmp_path, work)
    assert max(sizes) < 500_000, sizes
    assert not wal.exists(), "a clean end leaves one file a store"


def test_a_copy_of_what_a_killed_coordinator_left_is_whole(tmp_path: Path) -> None:
    """The log travels with the file."""
    copies = tmp_path / "copies/private/stores"
    copies.mkdir(parents=True)

    async def work(at: Stores) -> None:
        at.state()
        await apply(at, 0, {TABLE: {(bytes(16), 0): (b"x",)}})
        for path in (tmp_path / "private/stores").glob("*.sqlite*"):
            (copies / path.name).write_bytes(path.read_bytes())

    with_stores(tmp_path, work)
    assert (copies / f"{STORE}.sqlite-wal").exists()
    for folder in (tmp_path, tmp_path / "copies"):
        assert asyncio.run(_held(folder)) == {(bytes(16), 0): (b"x",)}


async def _held(folder: Path) -> dict[Key, Row]:
    at = await Stores.open(Home(folder))
    try:
        return dict(rows_of(at.state()[STORE], TABLE))
    finally:
        await at.close()
