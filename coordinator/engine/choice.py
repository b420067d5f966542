"""Which engine: by its name in the settings, on the command line, and in the benches."""

from contextlib import AbstractContextManager

from .dask_engine import DaskEngine
from .engines import Engine, ProcessEngine, SerialEngine, ThreadEngine


def make_engine(name: str, workers: int, scheduler: str = "") -> AbstractContextManager[Engine]:
    """One of engines.NAMES, not started yet. `scheduler` is for dask alone. Raises EngineFailed: not installed."""
    if name == "threads":
        return ThreadEngine(workers)
    if name == "processes":
        return ProcessEngine(workers)
    if name == "dask":
        return DaskEngine(workers, scheduler)
    assert name == "serial", name
    return SerialEngine()
