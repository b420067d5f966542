"""Keep a simulated board running from CPython: start it again after each reset, cut its power, read its serial line.

    async with Board(micropython, flash) as board:
        line = await board.line()          # the next line on its serial port
        await board.cut_power()            # SIGKILL: what the flash file has is what it has
        await board.power_on()

Between the end of one process and the start of the next the board is off; a deep sleep lasts as long as `asleep`
allows, which is given its milliseconds.
"""

import asyncio
import importlib.util
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEAP = "256K"
STARTS_MAX = 1000
LINES_MAX = 10_000  # older ones are forgotten


def _ends() -> dict[int, str]:
    spec = importlib.util.spec_from_file_location("_simulated_ends", HERE / "ends.py")
    assert spec is not None and spec.loader is not None
    ends = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ends)
    names = {-signal.SIGKILL: "power cut", ends.SOFT_RESET: "soft reset", ends.PROMPT: "prompt"}
    names |= {ends.NO_BOOT: "no boot", ends.CORRUPT: "corrupt"}
    signals = {ends.RESET: "reset", ends.DEEP_SLEEP: "deep sleep", ends.WATCHDOG: "watchdog"}
    return names | {-signal.Signals[f"SIG{name}"]: word for name, word in signals.items()}


ENDS = _ends()
"""What the return code of the board's process says, in words."""
AGAIN = {"reset", "deep sleep", "watchdog", "soft reset"}


async def at_once(asleep_ms: int) -> None:
    """A deep sleep that takes no time."""


class Board:
    """`ends`: how each run ended, in the words of ENDS. After `prompt`, `no boot`, `corrupt` and a power cut it stays
    off until `power_on`."""

    def __init__(
        self,
        micropython: str,
        flash: Path,
        scenario: Path | None = None,
        heap: str = HEAP,
        asleep: Callable[[int], Awaitable[None]] = at_once,
    ) -> None:
        self._arguments = [micropython, "-X", f"heapsize={heap}", str(HERE / "start.py"), str(flash)]
        if scenario is not None:
            self._arguments += ["--scenario", str(scenario)]
        self._state = Path(f"{flash}.rtc")
        self._asleep = asleep
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self.said: deque[str] = deque(maxlen=LINES_MAX)
        self.ends: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._off = asyncio.Event()

    async def __aenter__(self) -> "Board":
        await self.power_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut_power()

    async def power_on(self) -> None:
        """Nothing has survived but the flash."""
        assert self._task is None or self._task.done()
        self._state.unlink(missing_ok=True)
        self._lines = asyncio.Queue()
        self._off = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="simulated board")

    async def cut_power(self) -> None:
        """Return when nothing runs any more."""
        self._off.set()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._state.unlink(missing_ok=True)

    async def line(self) -> str | None:
        """The next line; None when the board is off and has said everything."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        return line

    async def _run(self) -> None:
        try:
            for _ in range(STARTS_MAX):
                end = await self._once()
                self.ends.append(end)
                if end == "deep sleep" and not self._off.is_set():
                    await self._sleep(int.from_bytes(self._state.read_bytes()[1:5], "big"))
                if end not in AGAIN or self._off.is_set():
                    return
        finally:
            self._lines.put_nowait(None)

    async def _sleep(self, asleep_ms: int) -> None:
        """Until it is over, or the power is cut."""
        parts = asyncio.ensure_future(self._asleep(asleep_ms)), asyncio.create_task(self._off.wait())
        done, rest = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in rest:
            part.cancel()
        for part in done:
            part.result()

    async def _once(self) -> str:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env=os.environ | {"MICROPYPATH": ".frozen"},
        )  # fmt: skip
        assert process.stdout is not None
        if self._off.is_set():  # cut while it was being started
            process.kill()
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.said.append(text)
            if self._lines.qsize() >= LINES_MAX:
                self._lines.get_nowait()
            self._lines.put_nowait(text)
        code = await process.wait()
        return ENDS.get(code, f"exit code {code}")
