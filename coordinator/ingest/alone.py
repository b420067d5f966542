"""Who writes into a folder of the intake's log: one process, and nobody reads there as long as an old one may.

The coordinator takes the lock of a worker's folder, or that of the web's process, and hands it on with the fork, so it
is held without a gap until that process is gone. A worker whose coordinator was killed ends by itself, after the commit
that is under way; the next coordinator waits for that.
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from io import FileIO
from pathlib import Path

import structlog

log = structlog.get_logger("edgetally")
ORPHAN_S = 10.0
_POLL_S = 0.02


def taken(folder: Path) -> FileIO | None:
    """The lock of a folder, held until it is closed here and in every process that has it; None when another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("ab", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)  # nobody shall take the number of an earlier one for ours
    return file


async def alone(intake: Path, *others: Path) -> None:
    """When no process of a former coordinator lives. One that does not end by itself is killed."""
    for folder in [*_folders(intake), *others]:
        deadline, said = time.monotonic() + ORPHAN_S, False
        while (lock := taken(folder)) is None:
            if not said:
                log.warning("worker_left_behind", folder=folder.name)
                said = True
            if time.monotonic() > deadline:
                _kill(folder)
            await asyncio.sleep(_POLL_S)
        lock.close()


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir())


def _kill(folder: Path) -> None:
    """Whoever holds the lock wrote its number there, or its coordinator died before it could."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
