"""The ingest workers, as the coordinator sees them: it starts them, tells them of slots and batches, and starts one
again that dies. A dead one has receipted nothing that is not in its log, and the next one begins by reading that.

A slot closes in three steps: every worker stops committing (`held`), the beacon becomes durable, every worker goes on
in the slot that it opens. A worker that starts meanwhile waits at the gate, so nobody commits to a closed slot.
"""

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import structlog

from coordinator.engine import wire
from coordinator.engine.wire import Refused
from coordinator.ingest import frames
from coordinator.ingest.frames import Frames
from coordinator.ingest.pipeline import Answer
from coordinator.ingest.registry import Changes
from coordinator.node import Node
from coordinator.settings import Settings
from device_client.core import cose, verdicts

log = structlog.get_logger("edgetally")
ANSWER_S = 30.0
STOP_S = 10.0
BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 10.0
STEADY_S = 60.0
PIPE_BYTES = 1 << 20


class WorkerGone(Exception):
    """It died, or did not answer in time and was killed."""


class WorkerProcess:
    """One life of one worker. `told(word, arguments)` hears what it says unasked."""

    def __init__(self, told: Callable[["WorkerProcess", str, list[Any]], None]) -> None:
        self._told = told
        self._answers: dict[object, asyncio.Future[list[Any]]] = {}
        self._process: asyncio.subprocess.Process
        self._frames: Frames
        self.is_live = False  # it has been told which slot is open

    @property
    def pid(self) -> int:
        return self._process.pid

    async def start(self, settings: Settings, base: Path, worker: int) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "coordinator.worker", settings.model_dump_json(), str(base), str(worker)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=PIPE_BYTES,
            start_new_session=True,  # Ctrl-C is for the coordinator, which says when to end
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._frames = Frames(self._process.stdout, self._process.stdin)

    async def read(self) -> int:
        """Until it ends: its exit code."""
        try:
            while (frame := await self._frames.read()) is not None:
                word, *arguments = frame
                key: object = arguments[0] if word == frames.ANSWER else word
                answer = self._answers.pop(key, None)
                if answer is None:
                    self._told(self, word, arguments)
                elif not answer.done():
                    answer.set_result(arguments)
        finally:
            self.is_live = False
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(WorkerGone())
            self._answers.clear()
        return await self._process.wait()

    async def ask(self, key: object, *command: object) -> list[Any]:
        """Send a command and wait for the answer that bears the key. Raises WorkerGone."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        self._frames.write(*command)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            self.kill()
            raise WorkerGone from None

    async def stop(self) -> None:
        if self._process.returncode is not None:
            return
        self._frames.write(frames.STOP)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


class WorkerPool:
    """All workers. `enrolled` and `shown` are the pipeline's; what `shown` raises ends `run`."""

    def __init__(
        self,
        settings: Settings,
        base: Path,
        node: Node,
        enrolled: Callable[[list[tuple[bytes, bytes]]], None],
        shown: Callable[[bytes], None],
    ) -> None:
        self._settings = settings
        self._base = base.absolute()
        self._node = node
        self._enrolled = enrolled
        self._shown = shown
        self._workers: dict[int, WorkerProcess] = {}
        self._gate = asyncio.Lock()  # between `hold` and `go`, and while a worker enters
        self._references = itertools.count()
        self._tasks: asyncio.TaskGroup
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers.values()]

    async def run(self) -> None:
        """Until cancelled: keep as many workers as are set."""
        async with asyncio.TaskGroup() as self._tasks:
            for worker in range(self._settings.ingest_workers):
                self._tasks.create_task(self._keep(worker), name=f"ingest worker {worker}")

    async def _keep(self, worker: int) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            process = WorkerProcess(self._hear)
            await process.start(self._settings, self._base, worker)
            self._workers[worker] = process
            try:
                code = await process.read()
            except asyncio.CancelledError:
                await process.stop()
                raise
            self.restarts += 1
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            pause_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(failures, 10))
            log.error("worker_died", worker=worker, code=code, restarts=self.restarts, again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    def _hear(self, process: WorkerProcess, word: str, arguments: list[Any]) -> None:
        if word == frames.READY:
            self._tasks.create_task(self._enter(process, *arguments))
        elif word == frames.ENROLLED:
            self._enrolled([(device, token_key) for device, token_key in arguments[0]])
        elif word == frames.SHOWN:
            with contextlib.suppress(Refused):
                self._shown(arguments[0])
        elif word == frames.COUNTED:
            reasons, by_device = arguments
            self._node.counts.merge(dict(reasons), {(device, code): count for device, code, count in by_device})

    async def _enter(self, process: WorkerProcess, newest: int, applied: int) -> None:
        """Tell a worker that has just started what it has missed."""
        async with self._gate:
            if applied < self._node.next_batch - 1:
                process.kill()  # a batch came between; the next one reads it
                return
            with contextlib.suppress(WorkerGone):
                await process.ask(frames.GONE, frames.GO, self._node.beacons.envelopes[newest + 1 :])
                process.is_live = True

    # SLOTS AND BATCHES, as ingest.pipeline.Pipeline has them for one process

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """No worker commits meanwhile; then all go on, in the newest slot."""
        async with self._gate:
            newest = self._node.beacons.newest
            held = await self._all(frames.HELD, frames.HOLD)
            try:
                yield
            finally:
                await self._all(frames.GONE, frames.GO, self._node.beacons.envelopes[newest + 1 :], of=held)

    async def opened(self, _beacon: bytes) -> None:
        """While held: a slot is open. The workers hear of it when they go on."""

    async def refreshed(self, number: int, changes: Changes) -> None:
        """A batch is applied and adopted."""
        async with self._gate:
            devices = [[device, *known] for device, known in changes.devices.items()]
            dropped = [list(boot) for boot in changes.dropped_boots]
            await self._all(frames.REFRESHED, frames.REFRESH, number, changes.last_slot, devices, dropped)

    async def renewed(self) -> None:
        """The stores' logs are short again; they stay so only when nobody reads in them."""
        async with self._gate:
            await self._all(frames.RENEWED, frames.RENEW)

    async def _all(self, key: str, *command: object, of: list[WorkerProcess] | None = None) -> list[WorkerProcess]:
        """Ask all that are live; those that have answered."""
        asked = [worker for worker in (of or self._workers.values()) if worker.is_live]
        answers = await asyncio.gather(*(worker.ask(key, *command) for worker in asked), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, WorkerGone):
                raise answer
        return [worker for worker, answer in zip(asked, answers, strict=True) if not isinstance(answer, WorkerGone)]

    # API

    async def submit(self, message: bytes) -> Answer:
        """Take a message from the API and wait for what becomes of it."""
        try:
            envelope, _, _ = wire.message_parts(message)
            device = wire.envelope(envelope, cose.TYPE_STATEMENT, self._node.genesis.hash).kid
        except Refused as refused:
            self._node.refuse(refused.code, None)
            return Answer(refused.code, b"", -1, b"")
        worker = self._workers.get(device[0] % self._settings.ingest_workers)
        if worker is None or not worker.is_live:
            self._node.refuse(verdicts.OVERLOADED, None)
            return Answer(verdicts.OVERLOADED, b"", -1, b"")
        reference = next(self._references)
        try:
            _, answer = await worker.ask(reference, frames.SUBMIT, reference, message)
        except WorkerGone:
            return Answer(verdicts.OVERLOADED, b"", -1, b"")
        return Answer(*answer)
