"""Reads of the stores, each in one step of a thread of its own: neither disk nor SQL holds up the loop.

The async driver goes to its thread and back for every part of a query: connect, begin, execute, fetch, roll back. A
page asks forty times (ADR 0028). What is asked for in the same turn of the loop goes there and back together, so who
gathers questions that do not hang on each other pays the way once.
"""

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .look import failure

THREADS = 2
BUSY_MS = 5000
Asked = tuple[str, sa.Executable, "asyncio.Future[Sequence[Any]]"]


class Reading:
    """Connections to each store that only read. End with `close`."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="reading")
        self._own = threading.local()
        self._opened: list[sa.Connection] = []
        self._asked: list[Asked] = []
        # A connection is opened by the thread that uses it, and closed when no thread does any more.
        self._engines = {
            store: sa.create_engine(
                f"sqlite:///{path}",
                isolation_level="AUTOCOMMIT",
                connect_args={"check_same_thread": False},
                poolclass=sa.NullPool,
            )
            for store, path in self._paths.items()
        }

    async def rows(self, store: str, statement: sa.Executable) -> Sequence[Any]:
        """All rows of a query, which bounds them itself. Raises OSError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Any]] = loop.create_future()
        self._asked.append((store, statement, answer))
        if len(self._asked) == 1:
            loop.call_soon(self._send, loop)
        return await answer

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        for connection in self._opened:
            with contextlib.suppress(sa.exc.DBAPIError):
                connection.close()

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        asked, self._asked = self._asked, []
        self._threads.submit(self._answer, loop, asked)

    def _answer(self, loop: asyncio.AbstractEventLoop, asked: list[Asked]) -> None:
        """In a thread: one after the other, and all answers back at once."""
        found: list[Sequence[Any] | Exception] = []
        for store, statement, _ in asked:
            try:
                found.append(self._read(store, statement))
            except Exception as error:
                found.append(error)
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(_settle, asked, found)

    def _read(self, store: str, statement: sa.Executable) -> Sequence[Any]:
        try:
            return self._connection(store).execute(statement).all()
        except sa.exc.DBAPIError as error:
            raise failure(store, self._paths[store], error.orig) from error

    def _connection(self, store: str) -> sa.Connection:
        held: dict[str, sa.Connection] = self._own.__dict__
        if store not in held:
            connection = self._engines[store].connect()
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MS}")
            connection.exec_driver_sql("PRAGMA query_only=1")
            self._opened.append(connection)
            held[store] = connection
        return held[store]


def _settle(asked: list[Asked], found: list[Sequence[Any] | Exception]) -> None:
    for (_, _, answer), one in zip(asked, found, strict=True):
        if answer.done():  # whoever asked has gone
            continue
        if isinstance(one, Exception):
            answer.set_exception(one)
        else:
            answer.set_result(one)
