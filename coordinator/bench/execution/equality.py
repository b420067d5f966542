"""Whether a batch gives the same header whatever executes it."""

from pathlib import Path

from coordinator.bench.options import BenchFailed
from coordinator.engine.choice import make_engine
from coordinator.engine.engines import NAMES, SerialEngine

from .statements import Bench

LANES = (1, 2, 7, 64)


def roots_equal(rows: int, devices: int, owners: int, folder: Path) -> bool:
    """On every engine, in so many lanes, and as the plain loop says. Raises BenchFailed naming what differs."""
    bench = Bench(rows, devices, owners, folder)
    expected = bench.seal(SerialEngine(), 1).header
    for lanes in LANES:
        if bench.seal(SerialEngine(), lanes).header != expected:
            raise BenchFailed(f"{lanes} lanes gave another header")
    for name in NAMES:
        with make_engine(name, 2) as engine:
            if bench.seal(engine, 7).header != expected:
                raise BenchFailed(f"engine {name} gave another header")
    bench.in_dictionaries()
    found = bench.loop(bench.ground.inputs.statements.rows(0, bench.rows))
    if not bench.is_the_loop(found):
        raise BenchFailed("the plain loop gave something else")
    return True
