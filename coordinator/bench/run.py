"""A whole measurement: prepare once, then run it a few times on a fresh copy, and take the medians."""

import json
import resource
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from coordinator.ingest.mosquitto import binary

from . import bare, ground, load, reports, truth
from .bare import Bare
from .children import Child
from .ground import Ground
from .load import Job
from .options import BenchFailed, Options

Told = Callable[[str, float, float], None]  # what, done, of
COORDINATOR = "coordinator.cli"
NAIVE = "coordinator.bench.naive"  # not imported: it speaks SQL
SIGNERS = 2
FILES_SPARE = 200
SHARE_MAX = 0.65  # of bare verification on two threads: nobody needs more reports than that
WARM_S = 1.0
NAIVE_S_MAX = 5.0
NAIVE_REPEAT_S = 30.0  # it answers the first in its queue so late that repeats would fill it


class Bench:
    """`told` hears of the progress."""

    def __init__(self, options: Options, folder: Path, told: Told) -> None:
        self._options = options
        self._folder = folder
        self._told = told
        self._files: list[str] = []

    def measured(self) -> dict[str, Any]:
        """Raises BenchFailed, OSError."""
        options = self._options
        if options.broker == "mosquitto":
            binary()
        files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if options.connections + FILES_SPARE > files_max:
            raise BenchFailed(f"{options.connections} connections, but a process may have {files_max} files open")
        self._told("registering devices", 0, 1)
        self._ground = ground.make(self._folder / "ground", options)
        self._samples = reports.samples(self._ground, min(64, options.connections))
        self._sign(self._bare().two_per_s)
        runs = [self._run(number) for number in range(options.runs)]
        return combined(runs)

    # PREPARATION

    def _sign(self, bare_per_s: float) -> None:
        """Enough reports for the fastest machine that could be behind these checks."""
        options = self._options
        each = bare_per_s * SHARE_MAX / options.connections
        spare = 2 * options.in_flight + 8
        plain_s = 2 * self._warm_s() + options.seconds + self._seconds_of("latency") / 2
        plain, full = int(each * plain_s) + spare, int(each * self._seconds_of("sets")) + spare
        bounds = [options.connections * part // SIGNERS for part in range(SIGNERS + 1)]
        with ExitStack() as stack:
            signers = []
            for part in range(SIGNERS):
                file = self._folder / f"reports.{part}"
                devices = range(bounds[part], bounds[part + 1])
                job = reports.job(self._ground, file, devices, plain, full, options.sets)
                self._files.append(str(file))
                child = Child(reports.__name__, [json.dumps(job._asdict())], self._folder / f"signer.{part}.log")
                signers.append(stack.enter_context(child))
            for signer in signers:
                signer.wait(lambda _: self._told("signing reports", _signed(signers), options.connections))

    def _warm_s(self) -> float:
        return min(WARM_S, self._options.seconds / 2)

    def _bare(self) -> Bare:
        return bare.measured(self._samples, self._options.seconds / 4)

    def _seconds_of(self, part: str) -> float:
        """The two lesser phases are half as long."""
        return 0.0 if part in self._options.skip else self._options.seconds / 2

    # ONE RUN

    def _run(self, number: int) -> dict[str, Any]:
        before = self._bare()
        result = self._taken_in(f"run {number + 1}", self._options.ingest_workers)
        one = None
        if self._options.ingest_workers > 1 and "one_process" not in self._options.skip:
            one = self._taken_in(f"run {number + 1}, one process", 0, only_rate=True)
        after = self._bare()
        naive = None if "naive" in self._options.skip else self._naive(f"run {number + 1}")
        return figures(self._options, bare.mean(before, after), result, naive, one)

    def _taken_in(self, name: str, workers: int, only_rate: bool = False) -> dict[str, Any]:
        """By a coordinator as an operator would start it."""
        extra = ["--ingest-workers", str(workers)] if workers else []
        return self._loaded(name, COORDINATOR, ["up", *extra, "--config"], only_rate)

    def _naive(self, name: str) -> dict[str, Any]:
        return self._loaded(f"{name}, naive", NAIVE, [], only_rate=True)

    def _loaded(self, name: str, module: str, arguments: list[str], only_rate: bool) -> dict[str, Any]:
        options = self._options
        with tempfile.TemporaryDirectory(dir=self._folder) as text:
            folder = Path(text)
            copy = ground.copy(self._ground, folder / "network")
            mqtt_port, http_port = free_ports(2)
            config = ground.write_settings(copy.folder, options, mqtt_port, http_port)
            with Child(module, [*arguments, str(config)], folder / "log") as coordinator:
                job = self._job(copy, mqtt_port, coordinator.pid, only_rate, module == NAIVE)
                with Child(load.__name__, [json.dumps(job._asdict())], folder / "load.log") as loading:
                    told = loading.wait(lambda status: self._progress(name, status), beside=coordinator)
                code = coordinator.stop()
                if code:
                    raise BenchFailed(f"{module} ended with exit code {code}: {coordinator.said()}")
            result: dict[str, Any] = told["result"]
            if module == COORDINATOR:
                home = ground.home_of(copy.folder)
                result |= {"durable": truth.check(home, result["receipts"]), "batches": truth.batches(home)}
            return result

    def _job(self, copy: Ground, port: int, pid: int, only_rate: bool, is_naive: bool) -> Job:
        options = self._options
        return Job(
            host="127.0.0.1",
            port=port,
            genesis=copy.genesis.hex(),
            coordinator_key=copy.coordinator_key.hex(),
            coordinator_pid=pid,
            files=self._files,
            seconds=min(options.seconds, NAIVE_S_MAX) if is_naive else options.seconds,
            warm_seconds=self._warm_s(),
            in_flight=options.in_flight,
            bursts=options.bursts,
            repeat_seconds=max(options.repeat_seconds, NAIVE_REPEAT_S) if is_naive else options.repeat_seconds,
            latency_seconds=0.0 if only_rate else self._seconds_of("latency"),
            sets_seconds=0.0 if only_rate else self._seconds_of("sets"),
        )

    def _progress(self, name: str, status: dict[str, Any]) -> None:
        if "phase" in status:
            self._told(f"{name}: {status['phase']}", status["done"], status["of"])


def figures(
    options: Options,
    alone: Bare,
    result: dict[str, Any],
    naive: dict[str, Any] | None,
    one: dict[str, Any] | None,
) -> dict[str, Any]:
    """The figures of one run."""
    highest = result["phases"]["highest rate"]
    if not highest["receipts"]:
        raise BenchFailed(f"no report was receipted; refused: {highest['refused'] or 'none'}")
    rate, reports_us = _rate(highest), 1e6 / highest["receipts"]
    checks_s = (highest["receipts"] + highest["repeats"]) * alone.verify_us / 1e6
    crypto_s = checks_s + highest["sheets"] * alone.sign_us / 1e6
    half, sets = result["phases"].get("half of it"), result["phases"].get("many sets")
    two_process = None
    if one is not None:
        single = _rate(one["phases"]["highest rate"])
        two_process = {"one": single, "workers": rate, "ratio": rate / single}
    return {
        "bare_verify_per_s": {"one": alone.one_per_s, "two": alone.two_per_s},
        "reports_per_s": rate,
        "ratio": rate / alone.two_per_s,
        "cpu_us_per_report": {
            "crypto": crypto_s * reports_us,
            "other": (highest["coordinator_s"] - crypto_s) * reports_us,
            "broker": highest["broker_s"] * reports_us,
        },
        "sets_per_s": _rate(sets) * options.sets if sets else None,
        "naive_reports_per_s": _rate(naive["phases"]["highest rate"]) if naive else None,
        "p50_ms": half["p50_ms"] if half else None,
        "p99_ms": half["p99_ms"] if half else None,
        "devices": options.devices,
        "rss_mb": highest["coordinator_bytes"] / 1e6,
        "two_process": two_process,
        "batches": result["batches"],
        "load_us_per_report": highest["load_s"] * reports_us,
        "foreign_cores": highest["foreign_s"] / highest["seconds"],
        "bare_us": {"verify": alone.verify_us, "sign": alone.sign_us},
        "broker_rss_mb": highest["broker_bytes"] / 1e6,
        "rows_per_sheet": highest["receipts"] / max(1, highest["sheets"]),
        "repeats": sum(phase["repeats"] for phase in result["phases"].values()),
        "skipped": half["skipped"] if half else None,
        "refused": sum(sum(phase["refused"].values()) for phase in result["phases"].values()),
        "exhausted": highest["exhausted"],
        "seconds": highest["seconds"],
        "connections": options.connections,
        "in_flight": options.in_flight,
        "bursts": options.bursts,
        "sets": options.sets,
        "broker": options.broker,
        "ingest_workers": options.ingest_workers,
        "verify_threads": options.verify_threads,
    }


def combined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of every number, and all rates as they came."""
    rates = [run["reports_per_s"] for run in runs]
    found: dict[str, Any] = _median(runs)
    return found | {"runs": len(runs), "all_reports_per_s": [_rounded(rate) for rate in rates]}


def _median(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, dict):
        return {name: _median([value[name] for value in values]) for name in first}
    if isinstance(first, bool):
        return any(values)
    return _rounded(median(values)) if isinstance(first, int | float) else first


def _rounded(value: float) -> float:
    """Four digits are more than a shared machine can tell."""
    return float(f"{value:.4g}") if isinstance(value, float) and abs(value) < 1000 else round(value)


def _rate(phase: dict[str, Any]) -> float:
    return float(phase["receipts"] / phase["seconds"])


def _signed(signers: list[Child]) -> int:
    return sum(int(signer.status.get("signed", 0)) for signer in signers)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
