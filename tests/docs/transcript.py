"""Runs the console blocks of a document, in order, as a reader would type them, and compares what comes back.

A block is fenced as `console`. A line that begins with `$ ` is typed, the lines behind it are what must be seen. What
differs from one run to the next is compared by shape: every number, and every id of 32 or 64 hex digits. Yet one id of
the document always stands for one id of the run, also where it is typed.

    $ edgetally up ...        a command that does not end by itself goes on in a terminal of its own
    ^C                        the interrupt key in the terminal of the last command of that block
    ...                       it goes on; lines may come between those that are shown
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ENDLESS = ("edgetally up", "edgetally device run")
REST = "..."
INTERRUPT = "^C"
LINES_S = 60.0
TOO_EARLY = "is not closed yet"  # the README tells the reader to try again
AGAIN_S = 0.5
STOP_S = 20.0
_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{32})\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """One thing to type (INTERRUPT for the key) and the lines to see after it."""

    typed: str
    seen: list[str]


class Mismatch(AssertionError):
    """The document and the program differ."""


def blocks(text: str, language: str) -> list[str]:
    return [body for found, body in _FENCE.findall(text) if found == language]


def steps(block: str) -> list[Step]:
    """Steps of one console block; a heredoc belongs to what is typed."""
    found: list[Step] = []
    end = ""
    for line in block.splitlines():
        if end:
            found[-1] = Step(f"{found[-1].typed}\n{line}", [])
            end = "" if line == end else end
        elif line.startswith("$ "):
            found.append(Step(line[2:], []))
            here = re.search(r"<<'(\w+)'$", line)
            end = here[1] if here else ""
        elif line == INTERRUPT:
            found.append(Step(INTERRUPT, []))
        else:
            found[-1].seen.append(line)
    return found


def shape(line: str) -> str:
    """A line with what differs between runs taken out."""
    return _NUMBER.sub("9", _ID.sub("<id>", line)).rstrip()


def in_order(expected: list[str], came: list[str]) -> list[str]:
    """The first lines that came which look like the expected ones, one behind the other."""
    found: list[str] = []
    for line in came:
        if len(found) < len(expected) and shape(line) == shape(expected[len(found)]):
            found.append(line)
    return found


def told(typed: str, expected: list[str], came: list[str]) -> str:
    return "\n".join([f"$ {typed}", "the document says:", *expected, "the program says:", *came])


class Terminal:
    """A running program and the lines that it has printed so far."""

    def __init__(self, typed: str, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            shlex.split(typed),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name=typed)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, expected: list[str]) -> list[str]:
        """The lines that look like the expected ones, in their order, others between them left out. Raises Mismatch
        when it ends, or takes too long, before they are all there."""
        until = time.monotonic() + LINES_S
        while True:
            ended = self._process.poll() is not None and not self._reader.is_alive()
            came = list(self.lines)
            found = in_order(expected, came)
            if len(found) == len(expected):
                return found
            if ended or time.monotonic() > until:
                raise Mismatch(told(self._reader.name, expected, came))
            time.sleep(0.05)

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._end()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._end()

    def _end(self) -> int:
        try:
            code = self._process.wait(STOP_S)
        finally:
            self._reader.join(STOP_S)
            assert self._process.stdout is not None
            self._process.stdout.close()
        return code


class Session:
    """A reader at work in one folder. `replaced` are texts of the document that have another value in this run."""

    def __init__(self, folder: Path, replaced: dict[str, str]) -> None:
        self._folder = folder
        self._replaced = replaced
        self._ids: dict[str, str] = {}
        self._open: list[Terminal] = []
        self._environment = dict(os.environ)
        self._environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment |= {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}

    def perform(self, step: Step) -> None:
        """Do one step. Raises Mismatch."""
        if step.typed == INTERRUPT:
            code = self._open.pop().interrupt()
            if code != 0:
                raise Mismatch(f"Ctrl-C ended with exit code {code}")
        elif step.typed.startswith(ENDLESS):
            terminal = Terminal(self._here(step.typed), self._folder, self._environment)
            self._open.append(terminal)
            expected = [line for line in step.seen if line != REST]
            self._learn(step, expected, terminal.wait_for(expected))
        else:
            until = time.monotonic() + LINES_S
            code, came = self._ran(step)
            while code and any(line.endswith(TOO_EARLY) for line in came) and time.monotonic() < until:
                time.sleep(AGAIN_S)
                code, came = self._ran(step)
            self._compare(step, came)
            wrong = any(line.startswith("WRONG") for line in step.seen)
            if code != (3 if wrong else 0):
                raise Mismatch(f"$ {step.typed}\nends with exit code {code}")

    def _ran(self, step: Step) -> tuple[int, list[str]]:
        done = subprocess.run(
            ["bash", "-c", self._here(step.typed)],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LINES_S,
            check=False,
        )
        return done.returncode, done.stdout.splitlines()

    def _here(self, typed: str) -> str:
        """What is typed, with the ids and texts of this run."""
        typed = _ID.sub(lambda found: self._ids[found[0]], typed)
        for written, real in self._replaced.items():
            typed = typed.replace(written, real)
        return typed

    def _compare(self, step: Step, came: list[str]) -> None:
        if list(map(shape, step.seen)) != list(map(shape, came)):
            raise Mismatch(told(step.typed, step.seen, came))
        self._learn(step, step.seen, came)

    def _learn(self, step: Step, expected: list[str], came: list[str]) -> None:
        """Which id of this run each id of the document stands for."""
        for written, real in zip(expected, came, strict=True):
            for one, other in zip(_ID.findall(written), _ID.findall(real), strict=True):
                if self._ids.setdefault(one, other) != other:
                    raise Mismatch(f"$ {step.typed}\n{one} stands for {self._ids[one]} elsewhere, here for {other}")

    def close(self) -> None:
        while self._open:
            self._open.pop().kill()
