"""Processes of the benches: each tells its progress as lines of JSON, and each is ended by its own id."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from .options import BenchFailed

STOP_S = 30.0
POLL_S = 0.05
LOG_LINES = 5
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Who is interrupted while a process begins never holds it: it would go on alone. So that waits until the end."""
    heard: list[int] = []
    before = {one: signal.signal(one, lambda number, _: heard.append(number)) for one in INTERRUPTS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if heard:
        raise KeyboardInterrupt


class Child:
    """`python -m module arguments`; `status` is the last line of JSON that it printed. Ended with the `with`."""

    def __init__(self, module: str, arguments: list[str], log: Path) -> None:
        self.name = module
        self._arguments = arguments
        self._log = log
        self.status: dict[str, Any] = {}

    def __enter__(self) -> "Child":
        """Main thread only. Raises OSError."""
        begun = False
        try:
            with _interrupts_wait():
                self._begin()
                begun = True
        except BaseException:
            if begun:
                self.stop()
            raise
        return self

    def _begin(self) -> None:
        with self._log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.name, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the bench, which ends them one after the other
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name=self.name, daemon=True)
        self._reader.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict):
                    self.status = told

    def check(self) -> None:
        """Raises BenchFailed when it has ended by itself, with the last lines of its log."""
        if self._process.poll() is not None:
            raise BenchFailed(f"{self.name} ended with exit code {self._process.returncode}: {self.said()}")

    def said(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-LOG_LINES:]) or "it said nothing"

    def wait(self, told: Callable[[dict[str, Any]], None], beside: "Child | None" = None) -> dict[str, Any]:
        """Until it ends; its last status. Raises BenchFailed when it or the one beside it fails."""
        while self._process.poll() is None:
            told(self.status)
            if beside is not None:
                beside.check()
            time.sleep(POLL_S)
        self._reader.join()
        if self._process.returncode:
            raise BenchFailed(str(self.status.get("failed") or f"{self.name}: {self.said()}"))
        return self.status

    def stop(self) -> int:
        """End it as its operator would, by force if it does not listen; its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


def tell(**fields: object) -> None:
    """One line of JSON to whoever started us."""
    print(json.dumps(fields), flush=True)
