"""The lock of a worker's folder: as long as a process has it nobody else reads or writes there."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.ingest import alone as module
from coordinator.ingest.alone import alone, taken

PATIENCE_S = 20.0


def heir(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that has the lock from us, and keeps it until its standard input ends."""
    lock = taken(folder)
    assert lock is not None
    with lock:
        wait = (sys.executable, "-c", "import sys; sys.stdin.read()")
        made = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(lock.fileno(),))
        lock.write(str(made.pid).encode())
    return made


def test_it_goes_on_to_the_process_that_inherits_it(tmp_path: Path) -> None:
    folder = tmp_path / "0"
    with heir(folder) as made:
        assert taken(folder) is None
        made.kill()
    free = taken(folder)
    assert free is not None
    assert (folder / "lock").read_bytes() == b""
    assert taken(folder) is None
    free.close()


def test_the_end_of_an_orphan_is_awaited(tmp_path: Path) -> None:
    async def scenario() -> None:
        with heir(tmp_path / "3") as made:
            waiting = asyncio.create_task(alone(tmp_path))
            done, _ = await asyncio.wait([waiting], timeout=0.3)
            assert not done
            assert made.stdin is not None
            made.stdin.close()
            await asyncio.wait_for(waiting, PATIENCE_S)
            assert await asyncio.to_thread(made.wait, PATIENCE_S) == 0

    asyncio.run(scenario())


def test_an_orphan_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORPHAN_S", 0.2)
    with heir(tmp_path / "0") as made:
        started = time.monotonic()
        asyncio.run(asyncio.wait_for(alone(tmp_path), PATIENCE_S))
        assert made.wait(PATIENCE_S) == -9 and time.monotonic() - started >= 0.2


def test_without_orphans_it_is_at_once(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "lock").write_text(str(2**22 + 1))  # of a process that is gone
    asyncio.run(asyncio.wait_for(alone(tmp_path), PATIENCE_S))
