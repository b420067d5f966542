"""Timings: every part and step once, in its place in time, and nothing of it in the result."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from coordinator.engine.engines import Engine, ProcessEngine, SerialEngine, ThreadEngine
from coordinator.engine.timing import Recorder, Span, Untimed, lines


class Ticks:
    """A clock that goes a millisecond a look."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> float:
        self.now_ms += 1
        return self.now_ms / 1000


class Elsewhere:
    """An engine on a machine whose clock says something else."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        found = [function(part) for part in parts]
        return [(result, start + self._ahead_s, end + self._ahead_s, "far") for result, start, end, _ in found]


def double(part: int) -> int:
    return 2 * part


LABELS = [("presence", 0), ("presence", 1), ("sensing", 0)]


def test_what_is_recorded_is_what_was_done() -> None:
    timer = Recorder(Ticks())  # 1 ms: the beginning
    assert timer.map(SerialEngine(), double, [1, 2, 3], 1, LABELS) == [2, 4, 6]  # from 2 to 9 ms
    with timer.step("finish", 1, "presence"):  # 10 to 11 ms
        pass
    worker = timer.spans[0].worker
    assert timer.spans == [
        Span(1, "presence", "lane", 0, 2000, 1000, worker),
        Span(1, "presence", "lane", 1, 4000, 1000, worker),
        Span(1, "sensing", "lane", 0, 6000, 1000, worker),
        Span(1, "presence", "finish", -1, 9000, 1000, worker),
    ]
    found = lines(timer.spans)
    assert [one.name for one in found] == ["presence lanes 0, 1", "sensing lane 0", "presence finish"]
    assert (found[0].start_us, found[0].busy_us, found[0].end_us, found[0].worker) == (2000, 2000, 5000, 1)


def test_a_step_that_fails_is_recorded_and_fails() -> None:
    timer = Recorder(Ticks())
    with pytest.raises(AssertionError), timer.step("check", 0, "identity"):
        raise AssertionError
    assert [one.step for one in timer.spans] == ["check"]


@pytest.mark.parametrize("ahead_s", [-1000.0, 1000.0])
def test_another_machines_clock_tells_how_long_and_not_when(ahead_s: float) -> None:
    timer = Recorder(Ticks())
    assert timer.map(Elsewhere(ahead_s), double, [1, 2, 3], 0, LABELS) == [2, 4, 6]
    assert [(one.start_us, one.duration_us) for one in timer.spans] == [(1000, 1000)] * 3


@pytest.mark.parametrize("make", [lambda: ThreadEngine(2), lambda: ProcessEngine(2)])
def test_spans_of_workers_lie_within_the_map(make: Callable[[], Any]) -> None:
    with make() as engine:
        timer = Recorder(time.monotonic)
        with timer.step("all"):
            timer.map(engine, double, [1, 2, 3], 0, LABELS)
    whole = next(one for one in timer.spans if one.step == "all")
    for one in timer.spans:
        assert whole.start_us <= one.start_us
        assert one.start_us + one.duration_us <= whole.start_us + whole.duration_us + 2  # rounded
        assert (one.worker == whole.worker) == (one is whole)


def test_without_a_clock_nothing_is_between_executor_and_engine() -> None:
    class Kept:
        def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
            assert function is double and parts == [1, 2]
            return ["as it was"]

    engine: Engine = Kept()
    assert Untimed().map(engine, double, [1, 2], 0, LABELS[:2]) == ["as it was"]
