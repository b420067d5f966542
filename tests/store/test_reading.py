"""Reads that are asked for together go to their thread together, and each gets its own answer."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coordinator.store.reading import Reading

ROWS = 50
LEDGER = "ledger"


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(ROWS)])
    connection.close()
    return {LEDGER: path}


def run(paths: dict[str, Path], work: Callable[[Reading], Awaitable[Any]]) -> Any:
    async def told() -> Any:
        reading = Reading(paths)
        try:
            async with asyncio.timeout(20):
                return await work(reading)
        finally:
            await reading.close()

    return asyncio.run(told())


def number(n: int) -> sa.TextClause:
    return sa.text(f"SELECT n FROM numbers WHERE n = {n}")


def test_many_at_once_get_their_own_answers_in_one_step(paths: dict[str, Path]) -> None:
    async def work(reading: Reading) -> tuple[list[int], int]:
        steps = 0
        send = reading._send

        def counted(loop: asyncio.AbstractEventLoop) -> None:
            nonlocal steps
            steps += 1
            send(loop)

        reading._send = counted  # type: ignore[method-assign]
        found = await asyncio.gather(*(reading.rows(LEDGER, number(n)) for n in range(ROWS)))
        return [rows[0].n for rows in found], steps

    assert run(paths, work) == (list(range(ROWS)), 1)


def test_one_that_is_wrong_harms_no_other(paths: dict[str, Path]) -> None:
    async def work(reading: Reading) -> list[Any]:
        wrong = sa.text("SELECT n FROM nothing")
        asked = (reading.rows(LEDGER, one) for one in (number(1), wrong, number(2)))
        return await asyncio.gather(*asked, return_exceptions=True)

    first, wrong, second = run(paths, work)
    assert (first[0].n, second[0].n) == (1, 2)
    assert isinstance(wrong, OSError) and LEDGER in str(wrong)


def test_one_that_is_given_up_harms_no_other(paths: dict[str, Path]) -> None:
    async def work(reading: Reading) -> int:
        given_up = asyncio.create_task(reading.rows(LEDGER, number(1)))
        kept = asyncio.create_task(reading.rows(LEDGER, number(2)))
        await asyncio.sleep(0)  # both are on their way
        given_up.cancel()
        return int((await kept)[0].n)

    assert run(paths, work) == 2
