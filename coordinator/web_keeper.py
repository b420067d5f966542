"""The process of the web, as the coordinator sees it: it starts it, answers what it asks, tells it of beacons and
batches, and starts one again that dies. Connections that come meanwhile wait: the sockets are ours.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from io import FileIO
from pathlib import Path
from typing import Any

import structlog

from coordinator.ingest import frames
from coordinator.ingest.alone import taken
from coordinator.ingest.frames import BadFrame, Frames
from coordinator.inside import Ask
from coordinator.settings import Settings
from coordinator.store.reads import Live

log = structlog.get_logger("edgetally")
COMMAND = (sys.executable, "-m", "coordinator.web_process")
START_S = 60.0
STOP_S = 15.0  # more than a request may take
LIVE_S = 1.0
HANG_S = 30.0  # without a word from it
BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 10.0
STEADY_S = 60.0
PIPE_BYTES = 1 << 20
ASKED_MAX = 1024  # questions that are being answered: more than requests may be


class WebFailed(OSError):
    """Its process did not start."""


class WebKeeper:
    """`live` tells how far the network is. Use `kept` first."""

    def __init__(
        self, settings: Settings, base: Path, ask: Ask, live: Callable[[], Live], sockets: list[socket.socket]
    ) -> None:
        self._settings = settings
        self._base = base.absolute()
        self._ask = ask
        self._live = live
        self._sockets = sockets
        self._frames: Frames | None = None
        self._heard = time.monotonic()
        self._serves = False
        self._ready = asyncio.Event()
        self._asked = asyncio.Semaphore(ASKED_MAX)
        self._answering: set[asyncio.Task[None]] = set()
        self.restarts = 0
        self.pid = 0

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """From when it serves. Raises WebFailed."""
        keeping = asyncio.create_task(self._keep(), name="web")
        telling = asyncio.create_task(self._tell_live(), name="web, live")
        try:
            ready = asyncio.create_task(self._ready.wait())
            await asyncio.wait([keeping, ready], timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            if not self._ready.is_set():
                raise WebFailed("the process of the pages did not start; what it said is in the log")
            yield
        finally:
            telling.cancel()
            keeping.cancel()
            await asyncio.gather(telling, keeping, return_exceptions=True)

    # WHAT IT IS TOLD

    def beacon(self, _number: int = 0) -> None:
        self._say_live()
        self._say(frames.BEACON)

    def batch(self) -> None:
        self._say_live()
        self._say(frames.BATCH)

    def sealed(self, seconds: float) -> None:
        self._say(frames.SEALED, seconds)

    def reload(self) -> None:
        self._say(frames.RELOAD)

    def _say(self, *message: object) -> None:
        if self._frames is not None:
            self._frames.write(*message)

    def _say_live(self) -> None:
        told = self._live()
        self._say(frames.LIVE, told.beacon, told.beacon_time, told.reasons)

    async def _tell_live(self) -> None:
        """What is refused is counted between beacons too. Whoever does not answer any more is killed."""
        while True:
            await asyncio.sleep(LIVE_S)
            if self._frames is None:
                continue
            self._say_live()
            silence_s = time.monotonic() - self._heard
            if silence_s > (HANG_S if self._serves else START_S):
                log.error("web_hangs", silence_s=round(silence_s, 1))
                self._kill()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    # ITS LIFE

    async def _keep(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            code = await self._life()
            if not self._ready.is_set():
                raise WebFailed("the process of the pages did not start; what it said is in the log")
            self.restarts += 1
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            pause_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(failures, 10))
            log.error("web_died", code=code, restarts=self.restarts, again_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _life(self) -> int | None:
        """Start one and stay until it has ended: its exit code, None when it did not even start."""
        try:
            lock = taken(self._settings.home(self._base).web)
            assert lock is not None, "the one before has ended"
            with lock:
                process = await self._started(lock)
        except OSError as error:
            log.error("web_failed", error=str(error))
            return None
        assert process.stdin is not None and process.stdout is not None
        self.pid, self._heard, self._serves = process.pid, time.monotonic(), False
        self._frames = Frames(process.stdout, process.stdin)
        self._say_live()
        reading = asyncio.create_task(self._read(self._frames))
        try:
            await asyncio.shield(reading)
        except asyncio.CancelledError:
            self._say(frames.STOP)
            await asyncio.wait([reading], timeout=STOP_S)
            raise
        finally:
            self._frames = None
            if process.returncode is None:
                self._kill()  # it is ending, or hangs
            await asyncio.gather(reading, return_exceptions=True)
            for task in self._answering:
                task.cancel()
            await process.wait()
        return process.returncode

    async def _started(self, lock: FileIO) -> asyncio.subprocess.Process:
        files = [each.fileno() for each in self._sockets]
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, self._settings.model_dump_json(), str(self._base), *map(str, files)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=PIPE_BYTES,
            start_new_session=True,  # Ctrl-C is for the coordinator, which says when to end
            pass_fds=(lock.fileno(), *files),
        )
        lock.write(str(process.pid).encode())
        return process

    async def _read(self, connection: Frames) -> None:
        """What it says, until it has ended."""
        try:
            while (message := await connection.read()) is not None:
                self._heard = time.monotonic()
                if message[0] == frames.READY:
                    self._ready.set()
                    self._serves = True
                if message[0] != frames.ASK:
                    continue
                await self._asked.acquire()
                task = asyncio.create_task(self._answer(connection, *message[1:]))
                self._answering.add(task)
                task.add_done_callback(self._answered)
        except BadFrame as error:
            log.error("web_unreadable", error=str(error))

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._asked.release()

    async def _answer(self, connection: Frames, reference: int, question: str, *arguments: Any) -> None:
        try:
            answer = await self._ask(question, *arguments)
        except (ValueError, OSError) as error:
            connection.write(frames.FAILED, reference, isinstance(error, ValueError), str(error))
        except Exception as error:
            log.error("fault", question=question, exc_info=error)
            connection.write(frames.FAILED, reference, False, "the coordinator could not answer; see its log")
        else:
            connection.write(frames.ANSWER, reference, answer)
