"""Where pure functions run over parts: here, in threads, in processes of this machine, or on a Dask cluster.

    engine.map(function, parts) -> results in the order of the parts

Nothing but time depends on which it is. What a part raises, `map` raises: an AssertionError is a fault of the rules.
A worker that is lost is EngineFailed, never a wait without end. Engines are context managers, started once: what they
started has ended when they are left. Functions and parts that go to other processes must pickle.
"""

import contextlib
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import get_context, parent_process, resource_tracker
from typing import Any, Protocol, Self

NAMES = ("serial", "threads", "processes", "dask")
WORKERS_MAX = 64


class EngineFailed(Exception):
    """The engine itself broke: a worker was lost, or there is none. The text says what and what to do."""


class Engine(Protocol):
    """What maps a pure function over parts; the results keep the order of the parts."""

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]: ...


class SerialEngine:
    """One part after the other, on the thread of whoever asks."""

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        return [function(part) for part in parts]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It has started nothing."""


class ThreadEngine:
    """`workers` threads of this process: for parts that mostly wait, or that leave the interpreter (signatures)."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="engine")

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        return list(self._pool.map(function, parts))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


class ProcessEngine:
    """`workers` processes of this machine, each begun when there is first work for it."""

    def __init__(self, workers: int) -> None:
        # Not forked: this process has threads, and what they hold would stay locked in the child.
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        packed = pack(function)
        try:
            with without_interrupts():
                results = self._pool.map(call_packed, [packed] * len(parts), map(pack, parts))
            return list(results)
        except BrokenProcessPool as error:
            raise EngineFailed(f"a worker process of the engine ended unasked: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def pack(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def call_packed(function: bytes, part: bytes) -> Any:
    """In a worker. The function may carry much with it and is the same for all parts: it is unpacked once."""
    return _unpacked(function)(pickle.loads(part))  # noqa: S301 - from the process that started this one


@lru_cache(maxsize=1)
def _unpacked(function: bytes) -> Callable[[Any], Any]:
    return pickle.loads(function)  # type: ignore[no-any-return]  # noqa: S301 - as above


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """What begins meanwhile, thread or process, never hears of Ctrl-C: it is for the main thread of this process."""
    resource_tracker.ensure_running()  # it would let the signal through again when it began meanwhile
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """In a worker process: when the one that started it is gone, however it went, so is this."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    with contextlib.suppress(OSError):
        parent.join()
    os._exit(1)
