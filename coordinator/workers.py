"""The ingest workers, as the coordinator sees them: it starts them, tells them of slots and batches, and starts one
again that dies. A dead one has receipted nothing that is not in its log, and the next one begins by reading that.

A slot closes in three steps: every worker stops committing (`held`), the beacon becomes durable, every worker goes on
in the slot that it opens. A worker that starts meanwhile waits at the gate; one that does not answer is killed, and the
slot stays open until it is gone: so nobody commits to a closed slot.
"""

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from io import FileIO
from pathlib import Path
from typing import Any

import structlog

from coordinator.engine import wire
from coordinator.engine.wire import Refused
from coordinator.ingest import frames
from coordinator.ingest.alone import taken
from coordinator.ingest.frames import BadFrame, Frames
from coordinator.ingest.pipeline import Answer
from coordinator.ingest.registry import Changes
from coordinator.node import Node
from coordinator.settings import Settings
from device_client.core import cose, verdicts

log = structlog.get_logger("edgetally")
COMMAND = (sys.executable, "-m", "coordinator.worker")
ANSWER_S = 30.0
STOP_S = 10.0
END_S = 5.0
HEARD_S = 10.0
BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 10.0
STEADY_S = 60.0
PIPE_BYTES = 1 << 20


class WorkerGone(Exception):
    """It has ended; if it did not answer in time, it was killed."""


class WorkerProcess:
    """One life of one worker. `told(process, word, arguments)` hears what it says unasked."""

    def __init__(self, worker: int, told: Callable[["WorkerProcess", str, list[Any]], None]) -> None:
        self.worker = worker
        self._told = told
        self._answers: dict[object, asyncio.Future[list[Any]]] = {}
        self._process: asyncio.subprocess.Process
        self._frames: Frames
        self._ended = asyncio.Event()
        self.newest = -1  # beacon that it knows
        self.has_entered = False  # it has been told which slot is open
        self.is_stale = False  # it began by reading what is older than the newest batch
        self.is_linked = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_live(self) -> bool:
        """It may be committing."""
        return self.has_entered and not self._ended.is_set()

    async def start(self, settings: Settings, base: Path, lock: FileIO) -> None:
        """Raises OSError."""
        self._process = await asyncio.create_subprocess_exec(
            *(*COMMAND, settings.model_dump_json(), str(base), str(self.worker)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=PIPE_BYTES,
            start_new_session=True,  # Ctrl-C is for the coordinator, which says when to end
            pass_fds=(lock.fileno(),),
        )
        lock.write(str(self.pid).encode())
        assert self._process.stdin is not None and self._process.stdout is not None
        self._frames = Frames(self._process.stdout, self._process.stdin)

    async def read(self) -> int:
        """Until it has ended, and nothing of it writes any more: its exit code."""
        try:
            while (frame := await self._frames.read()) is not None:
                self._take(*frame)
        except BadFrame as error:
            log.error("worker_unreadable", worker=self.worker, error=str(error))
            self.kill()
        finally:
            code = await self._end()
        return code

    def _take(self, word: str, *arguments: Any) -> None:
        key: object = arguments[0] if word == frames.ANSWER else word
        answer = self._answers.pop(key, None)
        if answer is None:
            self._told(self, word, list(arguments))
        elif not answer.done():
            answer.set_result(list(arguments))

    async def _end(self) -> int:
        try:
            async with asyncio.timeout(END_S):
                code = await self._process.wait()
        except TimeoutError:  # its pipe is closed, and it lives
            self.kill()
            code = await self._process.wait()
        self._ended.set()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone())
        self._answers.clear()
        return code

    async def ask(self, key: object, *command: object, answer_s: float | None = None) -> list[Any]:
        """Send a command and wait for the answer that bears the key. Raises WorkerGone, TimeoutError."""
        if self._ended.is_set():
            raise WorkerGone
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[key] = answer
        self._frames.write(*command)
        try:
            async with asyncio.timeout(answer_s):
                return await answer
        finally:
            self._answers.pop(key, None)

    async def obey(self, key: str, *command: object) -> list[Any]:
        """Ask, and kill it when it hangs. Raises WorkerGone."""
        try:
            return await self.ask(key, *command, answer_s=ANSWER_S)
        except TimeoutError:
            log.error("worker_hangs", worker=self.worker, command=command[0])
            self.kill()
            await self._ended.wait()
            raise WorkerGone from None

    def say_stop(self) -> None:
        if not self._ended.is_set():
            self._frames.write(frames.STOP)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


class WorkerPool:
    """All workers. `enrolled`, `shown` and `asked` are the pipeline's; what `shown` raises ends `run`."""

    def __init__(
        self,
        settings: Settings,
        base: Path,
        node: Node,
        enrolled: Callable[[list[tuple[bytes, bytes]]], None],
        shown: Callable[[bytes], None],
        asked: Callable[[bytes, bytes], None] = lambda question, device: None,
    ) -> None:
        self._settings = settings
        self._base = base.absolute()
        self._node = node
        self._enrolled = enrolled
        self._shown = shown
        self._asked = asked
        self._workers: dict[int, WorkerProcess] = {}
        self._gate = asyncio.Lock()  # between `hold` and `go`, and while a worker enters
        self._is_over = False  # we end in the middle of a beacon
        self._all_linked = asyncio.Event()
        self._references = itertools.count()
        self._tasks: asyncio.TaskGroup
        self.restarts = 0

    @property
    def waiting(self) -> int:
        """None here: each worker has a queue of its own."""
        return 0

    @property
    def pids(self) -> list[int]:
        return [self._workers[worker].pid for worker in sorted(self._workers)]

    @property
    def are_live(self) -> bool:
        """Whether each of them takes statements in."""
        count = sum(worker.is_live and worker.is_linked for worker in self._workers.values())
        return count == self._settings.ingest_workers

    async def run(self) -> None:
        """Until cancelled: keep as many workers as are set."""
        async with asyncio.TaskGroup() as self._tasks:
            for worker in range(self._settings.ingest_workers):
                self._tasks.create_task(self._keep(worker), name=f"ingest worker {worker}")

    async def _keep(self, worker: int) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            process = WorkerProcess(worker, self._hear)
            code = await self._live(process)
            self.restarts += 1
            if not process.is_stale:
                failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            pause_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(failures, 10))
            if not process.is_stale:
                log.error("worker_died", worker=worker, code=code, restarts=self.restarts, again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _live(self, process: WorkerProcess) -> int | None:
        """Start one and stay until it has ended: its exit code, None when it did not even start."""
        try:
            lock = taken(self._node.home.intake / str(process.worker))
            assert lock is not None, "the one before has ended"
            with lock:
                await process.start(self._settings, self._base, lock)
        except OSError as error:
            log.error("worker_failed", worker=process.worker, error=str(error))
            return None
        self._workers[process.worker] = process
        reading = asyncio.create_task(process.read())
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            process.say_stop()
            await asyncio.wait([reading], timeout=STOP_S)
            process.kill()
            await asyncio.gather(reading, return_exceptions=True)
            raise
        finally:
            process.is_linked = False
            self._all_linked.clear()

    def _hear(self, process: WorkerProcess, word: str, arguments: list[Any]) -> None:
        if word == frames.READY:
            self._tasks.create_task(self._enter(process, *arguments))
        elif word == frames.LINKED:
            process.is_linked = arguments[0]
            self._look()
        elif word == frames.ENROLLED:
            self._enrolled([(device, token_key) for device, token_key in arguments[0]])
        elif word == frames.SHOWN:
            with contextlib.suppress(Refused):
                self._shown(arguments[0])
        elif word == frames.ASKED:
            self._asked(*arguments)
        elif word == frames.COUNTED:
            reasons, by_device = arguments
            self._node.counts.merge(dict(reasons), {(device, code): count for device, code, count in by_device})

    def _look(self) -> None:
        linked = sum(worker.is_linked for worker in self._workers.values())
        if linked == self._settings.ingest_workers:
            self._all_linked.set()
        else:
            self._all_linked.clear()

    async def heard(self) -> None:
        """When the broker delivers to every worker; but for one that cannot start the others' devices do not wait for
        ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_S):
                await self._all_linked.wait()

    async def _enter(self, process: WorkerProcess, newest: int, beacon: bytes, applied: int) -> None:
        """Tell a worker that has just started what it has missed."""
        async with self._gate:
            ours = self._node.beacons.envelopes
            # A beacon that it read while it was being written may not have become durable.
            same = newest < len(ours) and (newest < 0 or ours[newest] == beacon)
            if not same or applied < self._node.next_batch - 1:
                process.is_stale = True  # a batch came between; the next one reads it
                process.kill()
                return
            process.newest = newest
            await self._go([process])

    # SLOTS AND BATCHES, as ingest.pipeline.Pipeline has them for one process

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """No worker commits meanwhile; then all go on, in the newest slot. Cancelled, nobody knows which one that is,
        and none goes on any more."""
        async with self._gate:
            held = await self._all(self._live_ones(), frames.HELD, lambda worker: (frames.HOLD,))
            try:
                yield
            except asyncio.CancelledError:
                self._is_over = True
                raise
            finally:
                await self._go(held)

    async def _go(self, held: list[WorkerProcess]) -> None:
        if self._is_over:
            return
        newest, beacons = self._node.beacons.newest, self._node.beacons.envelopes
        for one in await self._all(held, frames.GONE, lambda worker: (frames.GO, beacons[worker.newest + 1 :])):
            one.newest = newest
            one.has_entered = True

    async def opened(self, _beacon: bytes) -> None:
        """While held: a slot is open. The workers hear of it when they go on."""

    async def refreshed(self, number: int, changes: Changes) -> None:
        """While held: a batch is applied and adopted. Each worker hears of its own devices."""
        workers = self._settings.ingest_workers
        devices: list[list[list[object]]] = [[] for _ in range(workers)]
        for device, known in changes.devices.items():
            devices[device[0] % workers].append([device, *known])
        dropped: list[list[list[object]]] = [[] for _ in range(workers)]
        for device, boot in changes.dropped_boots:
            dropped[device[0] % workers].append([device, boot])

        def command(worker: WorkerProcess) -> tuple[object, ...]:
            index = worker.worker
            return frames.REFRESH, number, changes.last_slot, devices[index], dropped[index]

        await self._all(self._live_ones(), frames.REFRESHED, command)

    async def renewed(self) -> None:
        """The stores' logs are short again; they stay so only when nobody reads in them."""
        async with self._gate:
            await self._all(self._live_ones(), frames.RENEWED, lambda worker: (frames.RENEW,))

    def _live_ones(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers.values() if worker.is_live]

    async def _all(
        self, asked: list[WorkerProcess], key: str, command: Callable[[WorkerProcess], tuple[object, ...]]
    ) -> list[WorkerProcess]:
        """Have all of them obey; those that have. The others have ended."""
        work = (worker.obey(key, *command(worker)) for worker in asked)
        answers = await asyncio.gather(*work, return_exceptions=True)
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
            _, answer = await worker.ask(reference, frames.SUBMIT, reference, message, answer_s=ANSWER_S)
        except (WorkerGone, TimeoutError):  # it may be durable: sent again, it gets its receipt
            return Answer(verdicts.OVERLOADED, b"", -1, b"")
        return Answer(*answer)
