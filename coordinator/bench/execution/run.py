"""All parts of `edgetally bench execute`, one after the other."""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from coordinator.bench import transfers
from coordinator.bench.options import BenchFailed
from coordinator.engine.engines import ThreadEngine

from . import verification
from .equality import roots_equal

PARTS = ("equality", "verify", "transfers", "loop")
LOOP_ROWS_MAX = 1_000_000
EQUALITY_ROWS, EQUALITY_DEVICES = 100_000, 10_000
CHILD = "coordinator.bench.execution.statements"
Told = Callable[[str, float, float], None]


class Options(NamedTuple):
    """`skip` holds names of PARTS. Batches of more than a million statements are measured once."""

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
    began = time.perf_counter()
    checks = None if "verify" in options.skip else verification.measured(options.signatures, told)
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
    found["transfers"] = None if "transfers" in options.skip else _transfers(options.transfers, folder, told)
    found["seconds"] = round(time.perf_counter() - began, 1)
    return found


def _statements(rows: int, options: Options, folder: Path, told: Told, verify_us: float | None) -> dict[str, Any]:
    runs = options.runs if rows <= LOOP_ROWS_MAX else 1
    loop = "loop" if rows <= LOOP_ROWS_MAX and "loop" not in options.skip else "-"
    every: list[dict[str, Any]] = []
    for run in range(runs):
        told(f"a batch of {rows:,} statements", run, runs)
        every.append(_child([rows, options.devices, options.owners, folder / f"{rows}.{run}", loop]))
    found = {name: None if value is None else median(one[name] for one in every) for name, value in every[0].items()}
    verify_cpu_s = None if verify_us is None else verify_us * every[0]["rows"] / 1e6
    share = median(one["cpu_s"] for one in every) / verify_cpu_s if verify_cpu_s else None
    return {**found, "verify_cpu_s": verify_cpu_s, "cpu_over_verify": share}


def _child(arguments: list[object]) -> dict[str, Any]:
    """A process of its own: its memory begins empty. It is ended with us."""
    with subprocess.Popen(
        [sys.executable, "-m", CHILD, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            out, errors = child.communicate()
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        last = errors.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise BenchFailed(f"a batch failed: {last[0]}")
    found: dict[str, Any] = json.loads(out)
    return found


def _transfers(count: int, folder: Path, told: Told) -> dict[str, Any]:
    told("transfers", 0, 1)
    with ThreadEngine(2) as two:
        found = transfers.measured(folder / "transfers", count, two.map)
    return {
        **{f"{kind}_per_s": round(one["one_per_s"]) for kind, one in found.items()},
        "two": {f"{kind}_per_s": round(one["two_per_s"]) for kind, one in found.items()},
        "one_by_one": {f"{kind}_per_s": round(one["one_by_one_per_s"]) for kind, one in found.items()},
    }
