"""Dask as an engine: processes of its own on this machine, or the workers of a scheduler elsewhere.

What goes to a scheduler elsewhere is code: name only one that you trust, on a network that nobody else is on. Its
workers must have this version installed, which is checked when the engine starts.

Dask is imported when an engine is made, never before.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Self

from .engines import EngineFailed, call_packed, pack, without_interrupts
from .header import RULES_VERSION

SCATTER_BYTES = 1 << 16  # a part beyond this goes straight to a worker, not through the scheduler
CONNECT_S = 10.0
LOOK_S = 5.0
QUIET = ("distributed", "distributed.worker", "distributed.nanny", "distributed.scheduler", "distributed.core")
MISSING = "the engine dask is not installed; install edgetally[scale]"


class DaskEngine:
    """`scheduler` is the address of one that runs, or empty: then `workers` processes, reachable from here alone."""

    def __init__(self, workers: int, scheduler: str = "", connect_s: float = CONNECT_S) -> None:
        try:
            import dask
            import distributed
        except ImportError as error:
            raise EngineFailed(MISSING) from error
        self._distributed: Any = distributed
        self._workers = workers
        self._scheduler = scheduler
        self._connect_s = connect_s
        self._configured = dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,  # a part that takes its worker down is not tried on others
                "distributed.comm.timeouts.connect": f"{connect_s}s",
                "distributed.scheduler.http.routes": [],
                "distributed.worker.http.routes": [],
            }
        )
        self._cluster: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
        """Raises EngineFailed: nobody there, or workers with other rules."""
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            if not self._scheduler:
                with without_interrupts():
                    self._cluster = self._distributed.LocalCluster(
                        n_workers=self._workers,
                        threads_per_worker=1,
                        host="127.0.0.1",
                        protocol="tls://",
                        security=True,  # keys of its own: other users of this machine may connect to a port, not to us
                        dashboard_address="127.0.0.1:0",  # its server starts even for None, on a port that may be taken
                        silence_logs=logging.CRITICAL,
                    )
            self._client = self._distributed.Client(
                self._cluster or self._scheduler, set_as_default=False, timeout=self._connect_s
            )
            self._check_rules()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, OSError | TimeoutError | ValueError):
                raise EngineFailed(f"no Dask scheduler at {self._scheduler or '127.0.0.1'}: {error}") from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._client, self._cluster):
            if one is not None:
                one.close(timeout=self._connect_s)
        self._client = self._cluster = None

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        if not parts:
            return []
        packed = [pack(part) for part in parts]
        shared = self._sent([pack(function)], broadcast=True)[0]
        futures = self._client.map(call_packed, [shared] * len(packed), self._sent(packed), pure=False)
        try:
            self._wait(futures)
            return self._client.gather(futures)  # type: ignore[no-any-return]
        except (self._distributed.KilledWorker, self._distributed.CancelledError) as error:
            raise EngineFailed(f"a Dask worker was lost with its part: {error}") from error
        except OSError as error:
            raise EngineFailed(f"the Dask scheduler is gone: {error}") from error
        finally:
            self._client.cancel(futures)

    def _sent(self, packed: list[bytes], broadcast: bool = False) -> list[Any]:
        """Each as it is when it is small, else as something that a worker holds."""
        large = [one for one in packed if len(one) > SCATTER_BYTES]
        held = iter(self._client.scatter(large, hash=False, broadcast=broadcast) if large else ())
        return [next(held) if len(one) > SCATTER_BYTES else one for one in packed]

    def _wait(self, futures: list[Any]) -> None:
        """Until all are done; while they are not, there must be a worker to do them."""
        while True:
            try:
                with self._client.as_current():
                    self._distributed.wait(futures, timeout=LOOK_S)
                return
            except TimeoutError:
                if self._client.status != "running" or not self._client.scheduler_info(n_workers=-1)["workers"]:
                    raise EngineFailed("no Dask worker is left") from None

    def _check_rules(self) -> None:
        try:
            found = self._client.run(_rules_version)
        except ImportError as error:
            raise EngineFailed(f"a Dask worker lacks Edgetally or a part of it: {error}") from error
        if not found:
            raise EngineFailed(f"the Dask scheduler {self._scheduler} has no worker; start one beside it")
        for worker, version in sorted(found.items()):
            if version != RULES_VERSION:
                raise EngineFailed(f"Dask worker {worker} has rules version {version}, this program {RULES_VERSION}")


def _rules_version() -> int:
    return RULES_VERSION
