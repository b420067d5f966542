"""Every engine: results in the order of the parts, exceptions as they are, no wait without end, no orphan."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coordinator.engine.dask_engine import DaskEngine
from coordinator.engine.engines import EngineFailed, ProcessEngine, SerialEngine, ThreadEngine

MAKERS: dict[str, Callable[[], Any]] = {
    "serial": SerialEngine,
    "threads": lambda: ThreadEngine(2),
    "processes": lambda: ProcessEngine(2),
    "dask": lambda: DaskEngine(2),
}


@pytest.fixture(scope="module", params=MAKERS)
def engine(request: pytest.FixtureRequest) -> Iterator[Any]:
    with MAKERS[request.param]() as made:
        yield made


class Times:
    """A function that carries something with it, as a module's partial carries its snapshot."""

    def __init__(self, factor: int, ballast: bytes = b"") -> None:
        self._factor = factor
        self._ballast = ballast

    def __call__(self, part: tuple[int, bytes]) -> tuple[int, int, int]:
        return part[0] * self._factor, len(part[1]), len(self._ballast)


def broken(part: int) -> int:
    assert part != 3, "part 3 breaks an invariant"
    return part


def killed(part: int) -> int:
    if part == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


@pytest.mark.parametrize("size", [0, 100_000])
def test_results_keep_the_order_of_the_parts(engine: Any, size: int) -> None:
    parts = [(number, bytes(size)) for number in range(7)]
    for factor in (2, 3):
        assert engine.map(Times(factor, bytes(size)), parts) == [(number * factor, size, size) for number in range(7)]


def test_no_parts_no_results(engine: Any) -> None:
    assert engine.map(Times(2), []) == []


def test_what_a_part_raises_is_raised_and_the_engine_goes_on(engine: Any) -> None:
    with pytest.raises(AssertionError, match="part 3 breaks an invariant"):
        engine.map(broken, [1, 2, 3, 4])
    assert engine.map(broken, [1, 2, 4]) == [1, 2, 4]


@pytest.mark.parametrize("name", ["processes", "dask"])
def test_a_lost_worker_is_a_fault_with_a_name(name: str) -> None:
    with MAKERS[name]() as made, pytest.raises(EngineFailed, match="worker"):
        made.map(killed, [1, 2, 3, 4])


def test_threads_are_gone_when_the_engine_is_left() -> None:
    with ThreadEngine(2) as made:
        made.map(broken, [1, 2])
    assert not [one for one in threading.enumerate() if one.name.startswith("engine")]


CHILD = """
import os, sys
from coordinator.engine.dask_engine import DaskEngine
from coordinator.engine.engines import ProcessEngine
from tests.engine.test_engines import pid_of
if __name__ == "__main__":
    with {"processes": ProcessEngine, "dask": DaskEngine}[sys.argv[1]](2) as engine:
        try:
            print(*sorted(set(engine.map(pid_of, range(50)))), flush=True)
            sys.stdin.read()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""


def pid_of(_part: int) -> int:
    return os.getpid()


@pytest.mark.parametrize("name", ["processes", "dask"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_one_that_started_it(name: str, number: int, tmp_path: Any) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    # stdout is inherited by the workers: it ends when the last of them has.
    child = subprocess.Popen(
        [sys.executable, str(script), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)},
    )
    with child:
        assert child.stdout is not None and child.stdin is not None and child.stderr is not None
        workers = child.stdout.readline().split()
        assert workers and str(child.pid).encode() not in workers
        if number == signal.SIGINT:
            os.killpg(child.pid, number)  # as a terminal does: all of them
            assert child.stdout.readline() == b"interrupted\n"
            assert child.wait(30) == 0
            assert child.stderr.read() == b""
        else:
            os.kill(child.pid, number)
        assert child.stdout.read() == b""


def test_nobody_at_the_schedulers_address_is_said_so() -> None:
    with (
        pytest.raises(EngineFailed, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1"),
        DaskEngine(2, "tcp://127.0.0.1:1", connect_s=0.2),
    ):
        pass


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(EngineFailed, match=r"edgetally\[scale\]"):
        DaskEngine(2)


def test_nothing_of_dask_is_imported_before_it_is_used() -> None:
    code = "import sys, coordinator.service, coordinator.engine.dask_engine as d; print('distributed' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False\n"
