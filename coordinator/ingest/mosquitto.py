"""mosquitto as a managed child: configuration, credentials and rules are generated, the process is kept alive.

Nothing is persisted by it: a PUBACK is not durable in mosquitto either, so what must not be lost
waits in the devices' outboxes for a receipt. What is retained is published again by the link when it reconnects.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from .broker import PACKET_BYTES_MAX
from .credentials import PasswordFile, access_rules

log = structlog.get_logger("edgetally")
BINARY = "mosquitto"
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
START_S = 10.0
STOP_S = 5.0
RELOAD_S = 1.0
BACKOFF_BASE_S = 0.2
BACKOFF_CAP_S = 10.0
STEADY_S = 60.0
LINES_MAX = 100  # of its log, in a minute; what is beyond is counted


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
message_size_limit {PACKET_BYTES_MAX}
max_queued_messages 1000
max_inflight_messages 100
max_keepalive 3600
retain_available true
sys_interval 60
connection_messages false
log_dest stderr
log_type error
log_type warning
"""


class Mosquitto:
    """`async with`: listening on entry, ended on exit. Between them `run` keeps it alive and reloads credentials."""

    def __init__(self, listener: Listener, folder: Path, network: str, dead: Callable[[], None] = lambda: None) -> None:
        self._listener = listener
        self._folder = folder.absolute()
        self._network = network
        self._dead = dead
        self._process: asyncio.subprocess.Process | None = None
        self._logging: asyncio.Task[None] | None = None
        self._passwords = PasswordFile(self._folder / "passwords")
        self._waiting: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._last_line = ""
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

    async def _reload(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            changed = await asyncio.to_thread(self._passwords.add, waiting.items())
        except OSError as error:
            log.error("storage_failed", what="credentials", error=str(error))
            self._waiting = {**waiting, **self._waiting}
            return
        if changed and self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)
            self.reloads += 1

    # THE PROCESS

    async def __aenter__(self) -> "Mosquitto":
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
        await _end_orphan(self._folder)
        waiting, self._waiting = self._waiting, {}
        await asyncio.to_thread(self._passwords.write, waiting.items())
        for name, text in (
            ("rules", access_rules(self._network)),
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
        """Until cancelled: restart what dies, with back-off; reload at most once a second."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_alive(), name="mosquitto")
            tasks.create_task(self._keep_current(), name="credentials")

    async def _keep_current(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._reload()
            await asyncio.sleep(RELOAD_S)
            if self._waiting:
                self._wake.set()

    async def _keep_alive(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            assert self._process is not None
            code = await self._process.wait()
            self.restarts += 1
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            pause_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(failures, 10))
            log.error("broker_died", code=code, restarts=self.restarts, again_in_s=pause_s, said=self._last_line)
            self._dead()
            await asyncio.sleep(pause_s)
            try:
                await self._start()
            except OSError as error:
                log.error("broker_failed", error=str(error))

    async def _start(self) -> None:
        """Raises BrokerFailed when it does not listen in time."""
        self._last_line = ""
        self._process = process = await asyncio.create_subprocess_exec(
            binary(),
            "-c",
            str(self._folder / "mosquitto.conf"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the coordinator, which ends it when the last receipt is out
        )
        _raise_file_limit(process.pid)
        assert process.stderr is not None
        self._logging = asyncio.create_task(self._forward(process.stderr), name="mosquitto's log")
        deadline = time.monotonic() + START_S
        while not await _listens(self._listener):
            if process.returncode is not None:
                await self._logging
                raise BrokerFailed(f"mosquitto ended at once: {self._last_line or f'exit code {process.returncode}'}")
            if time.monotonic() > deadline:
                raise BrokerFailed(f"mosquitto does not listen on {self._listener.host}:{self._listener.port}")
            await asyncio.sleep(0.02)
        # Somebody else may listen there: then ours cannot, and ends.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.05)
            await self._logging
            raise BrokerFailed(f"mosquitto ended at once: {self._last_line or 'the port is taken'}")

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

    async def _forward(self, stream: asyncio.StreamReader) -> None:
        """Its log, line by line, as ours."""
        minute, told, untold = 0.0, 0, 0
        while line := await _line(stream):
            self._last_line = line.partition(": ")[2] or line
            now = time.monotonic()
            if now - minute >= 60:
                minute, told, untold = now, 0, 0
            if told < LINES_MAX:
                told += 1
                log.warning("mosquitto", line=self._last_line)
            else:
                untold += 1
                if untold == 1:
                    log.warning("mosquitto", line="more in this minute than is shown")


async def _line(stream: asyncio.StreamReader) -> str:
    """Empty at the end. Lines that are absurdly long are cut."""
    try:
        return (await stream.readline()).decode(errors="replace").strip() or ("" if stream.at_eof() else "-")
    except ValueError:
        return "a line that is too long"


async def _listens(listener: Listener) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listener.host, listener.host)  # noqa: S104 - no bind
    try:
        _, writer = await asyncio.open_connection(host, listener.port)
    except OSError:
        return False
    writer.close()
    return True


def _raise_file_limit(pid: int) -> None:
    """A connection is a file: let it have as many as this user may."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError):
            hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


async def _end_orphan(folder: Path) -> None:
    """A coordinator that was killed leaves its mosquitto behind: end it, but only if the process is that one."""
    path = folder / "pid"
    try:
        pid = int(path.read_text())
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + STOP_S
    while _is_ours(pid, folder):
        late = time.monotonic() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        await asyncio.sleep(0.05)
    path.unlink(missing_ok=True)


def _is_ours(pid: int, folder: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(folder / "mosquitto.conf").encode() in command
