"""A coordinator without broker, web and clock, in a process of its own: what came over MQTT comes over a pipe.

Intake, pipeline, node, batches, stores and recovery are the real ones. The process is forked from a server that has
imported everything, so that a life begins in a twentieth of a second, and many deaths fit into a test.
"""

import asyncio
import os
import resource
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from coordinator import crash
from coordinator.ingest.pipeline import Pipeline
from coordinator.ingest.quotas import Limits
from coordinator.ingest.receipts import SignedSheet
from coordinator.node import Node
from coordinator.recovery import recover
from coordinator.service import Service
from coordinator.snapshots import Snapshots
from coordinator.store.home import Home
from coordinator.store.stores import Stores

LIMITS = Limits(256, 25_600)
READY, SHEET, BEACON, DONE, FAILED = "ready", "sheet", "beacon", "done", "failed"
Told = tuple[str, Any]

_forks = get_context("forkserver")
_forks.set_forkserver_preload([__name__])


class _Link:
    """Where the coordinator publishes."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def retain(self, _name: str, payload: bytes) -> None:
        self._pipe.send((BEACON, payload))

    async def send(self, sheets: list[SignedSheet]) -> None:
        for sheet in sheets:
            self._pipe.send((SHEET, sheet.data))


def live(root: str, crash_at: str, pipe: Connection) -> None:
    """One life. Commands: ("messages", [message, ...]), ("beacon", time), ("limit", bytes), ("end", None)."""
    crash.arm(crash_at)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    asyncio.run(_live(Home(Path(root)), pipe))


async def _live(home: Home, pipe: Connection) -> None:
    home.lock()
    stores = await Stores.open(home)
    await recover(home, stores)
    node = Node(home, stores.state(), LIMITS)
    link = _Link(pipe)
    with ThreadPoolExecutor(1) as executor:
        pipeline = Pipeline(node.intake, node.signer, node.incarnation, executor, link.send, 10_000)
        # Neither queries nor a broker: the pipe is both.
        snapshots = Snapshots(home, node, 2)
        service = Service(node, stores, cast(Any, None), pipeline, cast(Any, link), home, cast(Any, None), snapshots)
        works = [asyncio.create_task(work) for work in (pipeline.run(), snapshots.run())]
        if node.beacons.envelopes:
            await link.retain("beacon", node.beacons.envelopes[-1])
        await _told(pipe, READY, _seal(service))
        while True:
            command, argument = await asyncio.to_thread(pipe.recv)
            if command == "messages":
                answers = [pipeline.submit(message) for message in argument]
                await asyncio.gather(*answers)
                pipe.send((DONE, None))
            elif command == "beacon":
                await _told(pipe, DONE, _beat(service, argument))
            elif command == "limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (argument, resource.RLIM_INFINITY))
                pipe.send((DONE, None))
            else:
                break
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
    await stores.close()
    home.unlock()
    pipe.send((DONE, None))


async def _beat(service: Service, time: int) -> None:
    service.clock = lambda: time
    await service.beacon()
    await _seal(service)


async def _seal(service: Service) -> None:
    """A snapshot belongs to the call: who waits for its end sees where the process dies."""
    await service.seal()
    await service.snapshots.idle()


async def _told(pipe: Connection, answer: str, work: Any) -> None:
    """A failing disk is an answer too; the next beacon tries again."""
    try:
        await work
    except OSError as error:
        pipe.send((FAILED, str(error)))
    else:
        pipe.send((answer, None))


class Child:
    """The parent's end. A call gives back what was published before it was done, or before the process died."""

    def __init__(self, home: Home, crash_at: str = "") -> None:
        self._pipe, other = _forks.Pipe()
        self._process = _forks.Process(target=live, args=(str(home.root), crash_at, other), daemon=True)
        self._process.start()
        other.close()
        self.errors: list[str] = []
        self.plan = crash_at
        self.dead = False
        self.first = self._until_told()

    def call(self, command: str, argument: object = None, kill_after_s: float | None = None) -> Sequence[Told]:
        """Send a command; with `kill_after_s` the process gets a SIGKILL that much later, wherever it is then."""
        try:
            self._pipe.send((command, argument))
        except OSError:
            self._died()
            return []
        if kill_after_s is not None:
            self._process.join(kill_after_s)
            self.kill()
        return self._until_told()

    def kill(self) -> None:
        if self._process.pid is not None and self._process.exitcode is None:
            os.kill(self._process.pid, signal.SIGKILL)

    def end(self) -> int:
        """End cleanly; the exit code."""
        self.call("end")
        self._process.join(10)
        code = self._process.exitcode
        assert code is not None, "the child does not end"
        self.dead = True
        return code

    def _until_told(self) -> list[Told]:
        published: list[Told] = []
        while True:
            try:
                told = self._pipe.recv()
            except (EOFError, OSError):
                self._died()
                return published
            if told[0] in (DONE, READY):
                return published
            if told[0] == FAILED:
                self.errors.append(told[1])
                return published
            published.append(told)

    def _died(self) -> None:
        self._process.join(10)
        assert self._process.exitcode == -signal.SIGKILL, f"the coordinator ended by itself: {self._process.exitcode}"
        self.dead = True
