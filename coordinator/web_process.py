"""The web in a process of its own: `python -m coordinator.web_process`, started by the coordinator (web_keeper.py).

It reads the stores, which the coordinator writes, and what is published; what only the coordinator knows it asks over
the pipe (inside.py), and it hears of beacons and batches. It holds nothing that may be lost, but who listens to events.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from coordinator.engine.genesis import parse_genesis
from coordinator.ingest import frames
from coordinator.ingest.frames import Frames
from coordinator.kernel.tables import TableState
from coordinator.logs import LOG_PROCESSORS, failures
from coordinator.loops import collect_rarely, loop_factory, switch_often
from coordinator.serving import Network, Served, serving
from coordinator.settings import Settings
from coordinator.store.queries import Queries
from coordinator.store.reads import Live
from coordinator.store.stores import Stores

log = structlog.get_logger("web")
ACCOUNTS, CHANGES = "accounts", "changes"


class Coordinator:
    """What the coordinator says, and its answers."""

    def __init__(self, connection: Frames, stores: Stores) -> None:
        self._frames = connection
        self._stores = stores
        self._references = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._told = Live(-1, 0, {}, {})
        self._changes: TableState = {}

    def live(self) -> Live:
        return self._told

    async def ask(self, question: str, *arguments: Any) -> Any:
        """Raises ValueError, OSError, as inside.Ask says."""
        reference = next(self._references)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[reference] = answer
        try:
            self._frames.write(frames.ASK, reference, question, *arguments)
            return await answer
        finally:
            del self._answers[reference]

    async def refresh(self) -> None:
        """A batch may have changed the network's parameters. Raises OSError."""
        self._changes = await self._stores.load(ACCOUNTS, CHANGES)
        self._told = self._told._replace(accounts=self._changes)

    async def heed(self, served: Served) -> None:
        """Until the coordinator says stop, or is gone."""
        while (message := await self._frames.read()) and message[0] != frames.STOP:
            await self._obey(served, *message)

    async def _obey(self, served: Served, word: str, *arguments: Any) -> None:
        if word == frames.ANSWER:
            self._settle(arguments[0], arguments[1])
        elif word == frames.FAILED:
            reference, is_value, text = arguments
            self._settle(reference, ValueError(text) if is_value else OSError(text))
        elif word == frames.LIVE:
            beacon, beacon_time, counted = arguments
            self._told = Live(beacon, beacon_time, counted, self._changes)
            self._frames.write(frames.HEARD)
        elif word == frames.BEACON:
            served.beacon()
        elif word == frames.BATCH:
            try:
                await self.refresh()
            except OSError as error:  # the next batch does it
                log.error("storage_failed", what="parameters", error=str(error))
            served.batch()
        elif word == frames.SEALED:
            served.sealed(arguments[0])
        else:
            assert word == frames.RELOAD, f"unknown word {word}"
            served.reload()

    def _settle(self, reference: int, answer: Any) -> None:
        waiting = self._answers.get(reference)
        if waiting is None or waiting.done():  # whoever asked has given up
            return
        if isinstance(answer, Exception):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)


async def _main(settings: Settings, base: Path, sockets: list[socket.socket], output: BinaryIO) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None)  # for the coordinator, which says when to end
    home = settings.home(base)
    genesis = parse_genesis(home.genesis.read_bytes())
    async with _piped(output) as connection, contextlib.AsyncExitStack() as stack:
        stores = await Stores.open(home, read_only=True)
        stack.push_async_callback(stores.close)
        coordinator = Coordinator(connection, stores)
        await coordinator.refresh()
        queries = Queries(stores, home, genesis, coordinator.live)
        network = Network(settings, base, home, genesis, stores, queries, coordinator.ask, os.getppid())
        async with serving(network, sockets, failures) as served:
            connection.write(frames.READY)
            await coordinator.heed(served)


@contextlib.asynccontextmanager
async def _piped(output: BinaryIO) -> AsyncIterator[Frames]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, output)
    connection = Frames(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    try:
        yield connection
    finally:
        await connection.close()


def _named(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**event, "process": "web"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Started by the coordinator, never by hand.")
    parser.add_argument("settings", type=Settings.model_validate_json)
    parser.add_argument("base", type=Path)
    parser.add_argument("sockets", type=int, nargs="+", help="numbers of files")
    given = parser.parse_args()
    # Frames have the pipe for themselves: whatever else is printed goes where the log goes.
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    structlog.configure(
        processors=[_named, *LOG_PROCESSORS], logger_factory=structlog.PrintLoggerFactory(file=sys.stderr)
    )
    sockets = [socket.socket(fileno=number) for number in given.sockets]
    collect_rarely()
    switch_often()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_main(given.settings, given.base, sockets, output))


if __name__ == "__main__":
    main()
