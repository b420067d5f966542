"""Where the time of a batch went.

The rules know no clock: whoever seals hands one in, and without one nothing is recorded. What is recorded is for the
operator alone: it is in no batch folder, and nothing depends on it.

    timer.map(engine, function, parts, wave, labels)    engine.map, each part a span
    with timer.step("finish", wave, "presence"):        what runs once, one span
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from .engines import Engine

LANE = "lane"
Clock = Callable[[], float]  # seconds, never backwards, the same in all processes of a machine: time.monotonic


class Span(NamedTuple):
    """One thing that one worker did. `wave` and `lane` are -1 and `module` is empty for what belongs to none; times are
    microseconds since sealing began."""

    wave: int
    module: str
    step: str
    lane: int
    start_us: int
    duration_us: int
    worker: str


class Line(NamedTuple):
    """What one worker did of one step: in a lane step, all of its lanes. `start_us` to `end_us` holds all the spans."""

    wave: int
    module: str
    step: str
    worker: int  # 1 is the first that did anything
    spans: list[Span]

    @property
    def start_us(self) -> int:
        return self.spans[0].start_us

    @property
    def end_us(self) -> int:
        return max(one.start_us + one.duration_us for one in self.spans)

    @property
    def busy_us(self) -> int:
        return sum(one.duration_us for one in self.spans)

    @property
    def name(self) -> str:
        """In words: `presence lanes 0, 2`, `presence finish`, `write folder`."""
        if self.step != LANE:
            return f"{self.module} {self.step}".strip()
        lanes = ", ".join(str(one.lane) for one in self.spans[:8]) + (", ..." if len(self.spans) > 8 else "")
        return f"{self.module} {'lane' if len(self.spans) == 1 else 'lanes'} {lanes}"


class Timer(Protocol):
    def map(
        self,
        engine: Engine,
        function: Callable[[Any], Any],
        parts: Sequence[Any],
        wave: int,
        labels: Sequence[tuple[str, int]],
    ) -> list[Any]:
        """The engine's map; `labels` are (module, lane) of each part."""
        ...

    def step(self, name: str, wave: int = -1, module: str = "") -> AbstractContextManager[None]: ...


class Untimed:
    """Records nothing."""

    def map(
        self,
        engine: Engine,
        function: Callable[[Any], Any],
        parts: Sequence[Any],
        wave: int,
        labels: Sequence[tuple[str, int]],
    ) -> list[Any]:
        return engine.map(function, parts)

    def step(self, name: str, wave: int = -1, module: str = "") -> AbstractContextManager[None]:
        return nullcontext()


class Recorder:
    """Records spans from the moment it is made. `clock` goes to the workers, so it must pickle."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock()
        self._spans: list[Span] = []

    @property
    def spans(self) -> list[Span]:
        """In order of their start."""
        return sorted(self._spans, key=lambda one: (one.start_us, one.start_us + one.duration_us))

    def map(
        self,
        engine: Engine,
        function: Callable[[Any], Any],
        parts: Sequence[Any],
        wave: int,
        labels: Sequence[tuple[str, int]],
    ) -> list[Any]:
        before = self._clock()
        timed = engine.map(_Timed(function, self._clock), parts)
        after = self._clock()
        for (module, lane), (_, start, end, worker) in zip(labels, timed, strict=True):
            if not before <= start <= end <= after:  # another machine's clock: how long is known, when is not
                start, end = before, min(after, before + max(0.0, end - start))
            self._add(wave, module, LANE, lane, start, end, worker)
        return [result for result, *_ in timed]

    @contextmanager
    def step(self, name: str, wave: int = -1, module: str = "") -> Iterator[None]:
        start = self._clock()
        try:
            yield
        finally:
            self._add(wave, module, name, -1, start, self._clock(), _here())

    def _add(self, wave: int, module: str, step: str, lane: int, start: float, end: float, worker: str) -> None:
        start_us = round((start - self._began) * 1e6)
        self._spans.append(Span(wave, module, step, lane, start_us, round((end - start) * 1e6), worker))


class _Timed:
    def __init__(self, function: Callable[[Any], Any], clock: Clock) -> None:
        self._function = function
        self._clock = clock

    def __call__(self, part: Any) -> tuple[Any, float, float, str]:
        start = self._clock()
        result = self._function(part)
        return result, start, self._clock(), _here()


def _here() -> str:
    return f"{os.getpid()}/{threading.get_native_id()}"


def lines(spans: Sequence[Span]) -> list[Line]:
    """Spans as they are shown: one line a step and worker, in order of their start."""
    ordered = sorted(spans, key=lambda one: (one.start_us, one.wave, one.lane))
    workers: dict[str, int] = {}
    for one in ordered:
        workers.setdefault(one.worker, len(workers) + 1)

    def key(one: Span) -> tuple[int, str, str, int]:
        return one.wave, one.module, one.step, workers[one.worker]

    found = [Line(*of, list(group)) for of, group in groupby(sorted(ordered, key=key), key=key)]
    return sorted(found, key=lambda one: (one.start_us, one.end_us, one.worker))
