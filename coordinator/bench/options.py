"""What to measure."""

from typing import NamedTuple

BROKERS = ("mosquitto", "embedded")
PARTS = ("naive", "sets", "latency", "one_process")
IN_FLIGHT_MAX = 63
NETWORK = "bench"


class Options(NamedTuple):
    """`skip` holds names of PARTS; `verify_threads` None leaves it to the coordinator."""

    seconds: float = 10.0
    connections: int = 1000
    devices: int = 1000
    sets: int = 12
    in_flight: int = 4
    bursts: bool = False
    broker: str = "mosquitto"
    ingest_workers: int = 0
    verify_threads: int | None = None
    runs: int = 3
    beacon_seconds: int = 3600
    repeat_seconds: float = 5.0
    skip: frozenset[str] = frozenset()


class BenchFailed(RuntimeError):
    """The measurement is not worth anything; the text says why."""
