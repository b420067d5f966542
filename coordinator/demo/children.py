"""The two devices of the demo that are processes of their own: a real MicroPython, and this machine's light client."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from device_client.provisioning import Provisioning

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
HEAP = "128K"  # in 96K a device runs, and has no room for proofs
ARCH = "x64"  # of the MicroPython that pip installs
STOP_S = 5.0
LINE_BYTES_MAX = 65536


class Child:
    """A client process; `status` is the last line of JSON that it printed."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command = command
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.status: dict[str, Any] = {}

    @property
    def device(self) -> bytes | None:
        """The device id, once the process has told it."""
        found = self.status.get("device")
        return bytes.fromhex(found) if isinstance(found, str) else None

    async def run(self) -> None:
        """Run until cancelled, then stop it as Ctrl-C would, by force if it does not listen."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        try:
            await self._read(self._process)
        finally:
            await self._stop(self._process)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict):
                    self.status = told

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def micropython_path() -> str | None:
    """The MicroPython beside this Python or on PATH; None where there is none."""
    beside = Path(sys.executable).parent / "micropython"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("micropython")


def micropython_child(interpreter: str, given: Provisioning, folder: Path, interval_s: int, retry_ms: int) -> Child:
    """The firmware, compiled as for a board, in a process of the unix MicroPython with 128 KiB of heap.

    Raises RuntimeError when it cannot be compiled.
    """
    built = folder / "firmware"
    command = [sys.executable, str(FIRMWARE / "build.py"), str(built), "--arch", ARCH]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    fields = json.loads(given.to_json()) | {
        "interval_s": interval_s,
        "state_dir": str((folder / "state").resolve()),
        "readings_public": True,
        "retry_ms": retry_ms,
        "records_max": 64,
    }
    (folder / "state").mkdir(parents=True, exist_ok=True)
    provisioning = folder / "provisioning.json"
    provisioning.write_text(json.dumps(fields))
    command = [interpreter, "-X", f"heapsize={HEAP}", "-O3", str(built / "main.py"), str(provisioning)]
    return Child(command, folder / "log")


def host_child(given: Provisioning, folder: Path, interval_s: int) -> Child:
    """`edgetally device run` on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    provisioning = folder / "provisioning.json"
    provisioning.write_text(given.to_json())
    arguments = ["device", "run", str(provisioning), "--state", str(folder / "state"), "--json"]
    command = [sys.executable, "-m", "coordinator.cli", *arguments, "--interval", str(interval_s)]
    return Child(command, folder / "log")
