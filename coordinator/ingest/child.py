"""A child process of the coordinator: its log, its limits, and what is left of it after a crash."""

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

log = structlog.get_logger("edgetally")
LINES_MAX = 100  # in a minute
LINE_BYTES_MAX = 4096
READ_BYTES = 1 << 16
# How lines begin that are about one connection, and how one ends that was refused.
_OF_ONE = (b"New connection from ", b"New client connected from ", b"Client ", b"Socket error on client ")
_REFUSED = b" disconnected, not authorised."
# Said at every start and reload, of what is meant to be so.
_EXPECTED = ("does not contain '%c' or '%u'", "should not be run as root")


class Lines:
    """Its log, line by line, as ours; `last` is for telling why it ended. `refused(n)` is told of refused connections.

    What it says of single connections is only counted: strangers make as much of it as they like.
    """

    def __init__(self, refused: Callable[[int], None] = lambda count: None) -> None:
        self.last = ""
        self._refused = refused
        self._minute = time.monotonic()
        self._told = 0

    async def forward(self, stream: asyncio.StreamReader) -> None:
        """Until the child closes it."""
        rest = b""
        while data := await stream.read(READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LINE_BYTES_MAX:
                lines, rest = [*lines, b"a line that is too long"], b""
            self._take(lines)
        self._take([rest] if rest else [])

    def _take(self, lines: list[bytes]) -> None:
        refused = 0
        for line in lines:
            said = line.partition(b": ")[2] or line
            if said.startswith(_OF_ONE):
                refused += said.endswith(_REFUSED)
            elif said:
                self._tell(said.decode(errors="replace").strip())
        if refused:
            self._refused(refused)

    def _tell(self, said: str) -> None:
        if any(expected in said for expected in _EXPECTED):
            return
        self.last = said
        if time.monotonic() - self._minute >= 60:
            self._minute, self._told = time.monotonic(), 0
        self._told += 1
        if self._told <= LINES_MAX:
            log.warning("mosquitto", line=said)
        elif self._told == LINES_MAX + 1:
            log.warning("mosquitto", line="more in this minute than is shown")


@contextlib.asynccontextmanager
async def log_pipe() -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """What a child is given for its log, while it is started, and where that is read. A child that says more than is
    read loses lines: it never waits for us."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    stream = asyncio.StreamReader()
    try:
        protocol = asyncio.StreamReaderProtocol(stream)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(read_end, "rb", 0))
        yield write_end, stream
    finally:
        os.close(write_end)


async def listens(host: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - no bind
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def raise_file_limit(pid: int) -> None:
    """A connection is a file: let it have as many as this user may."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError):
            hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))


async def end_orphan(pid_file: Path, configuration: Path, patience_s: float) -> None:
    """A coordinator that was killed leaves its child behind: end it, but only the one of this configuration."""
    try:
        pid = int(await asyncio.to_thread(pid_file.read_text))
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + patience_s
    while _is_ours(pid, configuration):
        late = time.monotonic() > deadline
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        await asyncio.sleep(0.05)


def _is_ours(pid: int, configuration: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(configuration).encode() in command
