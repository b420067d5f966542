"""A child process of the coordinator: its log, its limits, and what is left of it after a crash."""

import asyncio
import contextlib
import os
import resource
import signal
import time
from pathlib import Path

import structlog

log = structlog.get_logger("edgetally")
LINES_MAX = 100  # in a minute
# Said at every start and reload, of what is meant to be so.
_EXPECTED = ("does not contain '%c' or '%u'", "should not be run as root")


class Lines:
    """Its log, line by line, as ours; `last` is for telling why it ended."""

    def __init__(self) -> None:
        self.last = ""

    async def forward(self, stream: asyncio.StreamReader) -> None:
        """Until the child closes it."""
        minute, told = time.monotonic(), 0
        while line := await _line(stream):
            if any(expected in line for expected in _EXPECTED):
                continue
            self.last = line.partition(": ")[2] or line
            if time.monotonic() - minute >= 60:
                minute, told = time.monotonic(), 0
            told += 1
            if told <= LINES_MAX:
                log.warning("mosquitto", line=self.last)
            elif told == LINES_MAX + 1:
                log.warning("mosquitto", line="more in this minute than is shown")


async def _line(stream: asyncio.StreamReader) -> str:
    """Empty at the end. Lines that are absurdly long are cut."""
    try:
        return (await stream.readline()).decode(errors="replace").strip() or ("" if stream.at_eof() else "-")
    except ValueError:
        return "a line that is too long"


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
