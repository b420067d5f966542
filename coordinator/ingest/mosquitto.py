"""mosquitto as a managed child: configuration, credentials and rules are generated, the process is kept alive.

Nothing is persisted by it: a PUBACK is not durable in mosquitto either, so what must not be lost
waits in the devices' outboxes for a receipt. What is retained is published again by the link when it reconnects.

It starts with the credentials of the last time where these still hold, so that a million devices need not wait until
they are written anew; that happens at once afterwards, beside everything else.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

from .access import COORDINATOR
from .child import Lines, end_orphan, listens, log_pipe, raise_file_limit
from .credentials import PasswordFile, access_rules
from .embedded_handler import PACKET_BYTES_MAX

log = structlog.get_logger("edgetally")
BINARY = "mosquitto"
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
START_S = 10.0
READING_S_PER_BYTE_MAX = 1e-7  # ten times what was measured: it listens when it has read the credentials
STOP_S = 5.0
RELOAD_S = 1.0
RELOAD_SHARE = 0.05  # of mosquitto's time: it serves nobody while it reads credentials
RELOAD_MAX_S = 60.0
BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 10.0
STEADY_S = 2.0  # who listened for this long started well: its death is not one of a row


class BrokerFailed(OSError):
    """The child cannot be started; the text says why."""


class Listener(NamedTuple):
    host: str
    port: int
    connections_max: int
    certfile: Path | None = None
    keyfile: Path | None = None


def binary() -> str:
    """Raises BrokerFailed."""
    found = shutil.which(BINARY, path=SEARCHED)
    if found is None:
        raise BrokerFailed(
            'mosquitto is not installed; run: apt-get install mosquitto, or set broker.kind = "embedded"'
        )
    return found


def configuration(listener: Listener, folder: Path) -> str:
    tls = f"certfile {listener.certfile}\nkeyfile {listener.keyfile}\n" if listener.certfile else ""
    # Started by root it would become another user, who cannot read the files below.
    user = "user root\n" if os.geteuid() == 0 else ""
    return f"""\
# Written anew at every start of the coordinator.
listener {listener.port} {listener.host}
use_username_as_clientid true
max_connections {listener.connections_max}
{tls}{user}allow_anonymous false
password_file {folder / "passwords"}
acl_file {folder / "rules"}
pid_file {folder / "pid"}
persistence false
persistent_client_expiration 1h
max_packet_size {PACKET_BYTES_MAX}
max_queued_messages 1000
max_inflight_messages 100
max_keepalive 3600
retain_available true
sys_interval 60
connection_messages true
log_dest stderr
log_type error
log_type warning
log_type notice
"""


def _unhurried(credentials: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """All of them, with as long a pause after each few as they took: others want to run too."""
    began = time.monotonic()
    for index, one in enumerate(credentials):
        yield one
        if index % 256 == 255:
            time.sleep(min(0.1, time.monotonic() - began))
            began = time.monotonic()


class Mosquitto:
    """`async with`: listening on entry, ended on exit. Between them `run` keeps it alive and reloads credentials."""

    def __init__(
        self,
        listener: Listener,
        folder: Path,
        network: str,
        dead: Callable[[], None] = lambda: None,
        services: Sequence[str] = (COORDINATOR,),
        known: Callable[[], Iterable[tuple[str, str]]] = tuple,
        basis: Callable[[], bytes] = bytes,
        refused: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`known()` gives whoever may connect from the start on; it is read in a thread, one after the other. `basis()`
        is a digest of what their passwords are derived from. `refused(n)` is told of refused connections."""
        self._listener = listener
        self._folder = folder.absolute()
        self._network = network
        self._dead = dead
        self._services = services
        self._known = known
        self._basis = basis
        self.is_written = False
        self._is_unread = False
        self._is_listening = False
        self._process: asyncio.subprocess.Process | None = None
        self._logging: asyncio.Task[None] | None = None
        self._passwords = PasswordFile(self._folder / "passwords")
        self._waiting: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._reading_s_per_byte = 0.0
        self._lines = Lines(refused)
        self.restarts = 0
        self.reloads = 0

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    # CREDENTIALS

    def admit(self, credentials: Iterable[tuple[str, str]]) -> None:
        """Let in whoever shows these, from the next reload on."""
        self._waiting.update(credentials)
        if self._waiting:
            self._wake.set()

    @property
    def reload_pause_s(self) -> float:
        """Between two reloads. What one takes is what reading the file took at the start."""
        reading_s = self._reading_s_per_byte * self._passwords.size_bytes
        return min(RELOAD_MAX_S, max(RELOAD_S, reading_s / RELOAD_SHARE))

    async def _reload(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            await asyncio.to_thread(self._add, waiting, True)
        except OSError as error:
            log.error("storage_failed", what="credentials", error=str(error))
            self._waiting = {**waiting, **self._waiting}
        self._have_read()

    def _add(self, waiting: dict[str, str], is_serving: bool) -> None:
        """Raises OSError."""
        if not self.is_written:
            self._passwords.write(_unhurried(self._known()) if is_serving else self._known(), self._basis())
            self.is_written = self._is_unread = True
        if self._passwords.add(waiting.items(), self._basis()):
            self._is_unread = True

    def _have_read(self) -> None:
        """Have mosquitto read what it did not; later if it does not listen yet, the signal would end it."""
        process = self._process
        if self._is_unread and self._is_listening and process is not None and process.returncode is None:
            process.send_signal(signal.SIGHUP)
            self._is_unread = False
            self.reloads += 1

    # THE PROCESS

    async def __aenter__(self) -> "Mosquitto":
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
        await end_orphan(self._folder / "pid", self._folder / "mosquitto.conf", STOP_S)
        self.is_written = False
        if not self._passwords.keep(self._basis()):
            waiting, self._waiting = self._waiting, {}
            await asyncio.to_thread(self._add, waiting, False)
        for name, text in (
            ("rules", access_rules(self._network, self._services)),
            ("mosquitto.conf", configuration(self._listener, self._folder)),
        ):
            path = self._folder / name
            path.write_text(text)
            path.chmod(0o600)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def run(self) -> None:
        """Until cancelled: restart what dies, with back-off; reload now and then."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_alive(), name="mosquitto")
            tasks.create_task(self._keep_current(), name="credentials")

    async def _keep_current(self) -> None:
        if not self.is_written:
            self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._reload()
            await asyncio.sleep(self.reload_pause_s)
            if self._waiting or not self.is_written:
                self._wake.set()

    async def _keep_alive(self) -> None:
        failures = 0
        while True:
            listening_s = time.monotonic()
            assert self._process is not None
            code = await self._process.wait()
            self.restarts += 1
            failures = 0 if time.monotonic() - listening_s > STEADY_S else failures + 1
            pause_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(failures, 10))
            log.error("broker_died", code=code, restarts=self.restarts, again_in_s=pause_s, said=self._lines.last)
            self._dead()
            await asyncio.sleep(pause_s)
            try:
                await self._start()
            except OSError as error:
                log.error("broker_failed", error=str(error))

    async def _start(self) -> None:
        """Raises BrokerFailed when it does not listen in time."""
        self._lines.last = ""
        self._is_listening = self._is_unread = False
        size = max(1, self._passwords.size_bytes)
        started = time.monotonic()
        async with log_pipe() as (stderr, said):
            self._process = process = await asyncio.create_subprocess_exec(
                binary(),
                "-c",
                str(self._folder / "mosquitto.conf"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for the coordinator, which ends it when the last receipt is out
            )
        raise_file_limit(process.pid)
        self._logging = asyncio.create_task(self._lines.forward(said), name="mosquitto's log")
        deadline = started + START_S + READING_S_PER_BYTE_MAX * size
        while not await listens(self._listener.host, self._listener.port):
            if process.returncode is not None:
                await self._logging
                raise BrokerFailed(f"mosquitto ended at once: {self._lines.last or f'exit code {process.returncode}'}")
            if time.monotonic() > deadline:
                process.kill()  # else nobody would ever start another
                raise BrokerFailed(f"mosquitto does not listen on {self._listener.host}:{self._listener.port}")
            await asyncio.sleep(0.02)
        # With few credentials the start of a process takes longer than reading them.
        self._reading_s_per_byte = min(READING_S_PER_BYTE_MAX, (time.monotonic() - started) / size)
        # Somebody else may listen there: then ours cannot, and ends.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.05)
            await self._logging
            raise BrokerFailed(f"mosquitto ended at once: {self._lines.last or 'the port is taken'}")
        self._is_listening = True
        self._have_read()

    async def _stop(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._logging is not None:
            await self._logging
        (self._folder / "pid").unlink(missing_ok=True)
