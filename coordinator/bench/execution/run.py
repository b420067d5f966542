"""All parts of `edgetally bench execute`, one after the other."""

import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from coordinator.bench import transfers
from coordinator.bench.children import Child
from coordinator.bench.processes import Foreign
from coordinator.engine.engines import ThreadEngine

from . import statements, verification
from .equality import roots_equal

PARTS = ("equality", "verify", "transfers", "loop")
LOOP_ROWS_MAX = 1_000_000
EQUALITY_ROWS, EQUALITY_DEVICES = 100_000, 10_000
Told = Callable[[str, float, float], None]


class Options(NamedTuple):
    """`skip` holds names of PARTS. Batches of more than a million statements, and checks, are measured once."""

    rows: tuple[int, ...] = (1_000_000, 10_000_000)
    devices: int = 100_000
    owners: int = 10_000
    signatures: int = 1_000_000
    transfers: int = 1_000_000
    runs: int = 3
    skip: frozenset[str] = frozenset()


def measured(options: Options, folder: Path, told: Told) -> dict[str, Any]:
    """Raises BenchFailed, OSError, AssertionError (something gave another result)."""
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {platform.system()}, Python {sys.version.split()[0]}"}
    found.update(devices=options.devices, owners=options.owners, runs=options.runs)
    began, foreign = time.perf_counter(), Foreign()
    checks = None if "verify" in options.skip else _checks(options.signatures, folder, told)
    found["verify"] = {f"{name}_per_s": round(checks[name]) for name in ("one", "two", "dask")} if checks else None
    found["statements"] = {
        str(rows): _statements(rows, options, folder, told, checks["cpu_us"] if checks else None)
        for rows in options.rows
    }
    found["roots_equal"] = None
    if "equality" not in options.skip:
        told("the same on every engine", 0, 1)
        rows = min(EQUALITY_ROWS, *options.rows)
        devices = min(EQUALITY_DEVICES, options.devices)
        found["roots_equal"] = roots_equal(rows, devices, options.owners, folder / "equality")
    found["transfers"] = None if "transfers" in options.skip else _transfers(options, folder, told)
    found["foreign_cores"] = round(foreign.cores(), 2)
    found["seconds"] = round(time.perf_counter() - began, 1)
    return found


def _statements(rows: int, options: Options, folder: Path, told: Told, verify_us: float | None) -> dict[str, Any]:
    runs = options.runs if rows <= LOOP_ROWS_MAX else 1
    loop = "loop" if rows <= LOOP_ROWS_MAX and "loop" not in options.skip else "-"
    every: list[dict[str, Any]] = []
    for run in range(runs):
        told(f"a batch of {rows:,} statements", run, runs)
        batches = folder / f"{rows}.{run}"
        arguments = [rows, options.devices, options.owners, batches, loop]
        every.append(_in_child(statements.__name__, arguments, folder, lambda _: None))
        shutil.rmtree(batches)
    found = {name: None if value is None else median(one[name] for one in every) for name, value in every[0].items()}
    verify_cpu_s = None if verify_us is None else verify_us * every[0]["rows"] / 1e6
    share = median(one["cpu_s"] for one in every) / verify_cpu_s if verify_cpu_s else None
    return {**found, "verify_cpu_s": verify_cpu_s, "cpu_over_verify": share}


def _checks(count: int, folder: Path, told: Told) -> dict[str, Any]:
    def progress(status: dict[str, Any]) -> None:
        if "what" in status:
            told(status["what"], status["done"], status["of"])

    found: dict[str, Any] = _in_child(verification.__name__, [count], folder, progress)["result"]
    return found


def _in_child(
    module: str, arguments: list[object], folder: Path, progress: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """In a process of its own: its memory begins empty, and it ends with us. What it told last."""
    with Child(module, [str(one) for one in arguments], folder / "log") as child:
        return child.wait(progress)


def _transfers(options: Options, folder: Path, told: Told) -> dict[str, Any]:
    every = []
    with ThreadEngine(2) as two:
        for run in range(options.runs):
            told("transfers", run, options.runs)
            every.append(transfers.measured(folder / "transfers", options.transfers, two.map))

    def rates(name: str) -> dict[str, int]:
        return {f"{kind}_per_s": round(median(one[kind][name] for one in every)) for kind in transfers.KINDS}

    return {**rates("one_per_s"), "two": rates("two_per_s"), "one_by_one": rates("one_by_one_per_s")}
