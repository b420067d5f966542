"""`edgetally bench execute`, small: every figure is there, and what must be equal is compared."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coordinator.bench.execution import verification
from coordinator.bench.execution.equality import roots_equal
from coordinator.bench.execution.run import Options, measured
from coordinator.bench.execution.statements import Bench
from coordinator.bench.execution.told import lines
from coordinator.bench.execution.verification import reports
from coordinator.bench.options import BenchFailed
from coordinator.bench.processes import Foreign
from coordinator.bench.told import FOREIGN_CORES_MAX
from tests.cli.inside import edgetally
from tests.parts import ROOT

SMALL = ("--rows", "5000", "--devices", 500, "--owners", 50, "--signatures", 1000, "--transfers", 1000, "--runs", 1)


def test_all_figures(tmp_path: Path) -> None:
    done = edgetally("bench", "execute", *SMALL, "--folder", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    one = found["statements"]["5000"]
    names = ("serial_s", "two_s", "python_loop_s", "execute_s", "cpu_s", "verify_cpu_s", "peak_bytes_per_statement")
    assert all(one[name] > 0 for name in names) and one["rows"] == 5000
    assert one["cpu_over_verify"] == pytest.approx(one["cpu_s"] / one["verify_cpu_s"])
    assert found["roots_equal"] is True
    assert all(found["verify"][f"{name}_per_s"] > 0 for name in ("one", "two", "dask"))
    for rates in (found["transfers"], found["transfers"]["two"], found["transfers"]["one_by_one"]):
        assert all(rates[f"{name}_per_s"] > 0 for name in ("uncontended", "hot10", "one_account"))
    assert 0 <= found["foreign_cores"] <= (os.cpu_count() or 1) and found["machine"]
    assert len(lines(found)) > 12 and list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_what_is_left_out_is_nothing(tmp_path: Path) -> None:
    skip = frozenset({"equality", "verify", "transfers", "loop"})
    found = measured(Options((1000,), 100, 10, 1000, 1000, 1, skip), tmp_path, lambda what, done, of: None)
    assert (found["roots_equal"], found["verify"], found["transfers"]) == (None, None, None)
    assert found["statements"]["1000"]["python_loop_s"] is None and lines(found)


def test_a_loop_that_gives_something_else_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(1000, 100, 10, tmp_path)
    bench.in_dictionaries()
    found = bench.loop(bench.ground.inputs.statements.rows(0, bench.rows))
    assert bench.is_the_loop(found)
    device, boot, seq, name, slot, quoted, code, measured_as = found.verdicts[7]
    found.verdicts[7] = (device, boot, seq, name, slot, quoted, int(code) + 1, measured_as)
    assert not bench.is_the_loop(found)
    monkeypatch.setattr(Bench, "loop", lambda self, rows: found)
    with pytest.raises(BenchFailed, match="the plain loop"):
        roots_equal(1000, 100, 10, tmp_path)


def test_a_bad_signature_that_is_not_found_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "failing", lambda *_: [])
    with pytest.raises(BenchFailed, match="333 alone"):
        verification.measured(1000, lambda what, done, of: None)


def test_work_of_others_is_seen_and_our_own_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = iter((100.0, 107.0))
    monkeypatch.setattr("coordinator.bench.processes.busy_s", lambda: next(busy))
    times = iter((0.0, 10.0))
    monkeypatch.setattr("coordinator.bench.processes.time.perf_counter", lambda: next(times))
    cores = Foreign().cores()
    assert cores == pytest.approx(0.7, abs=0.02)
    found = {"machine": "m", "devices": 1, "owners": 1, "seconds": 1, "statements": {}, "verify": None}
    calm = {**found, "transfers": None, "roots_equal": None, "foreign_cores": FOREIGN_CORES_MAX}
    assert not any("idle machine" in line for line in lines(calm))
    assert "0.7" in lines({**calm, "foreign_cores": cores})[-1]


@pytest.mark.parametrize(
    ("sent", "during"), [(signal.SIGINT, "a batch of 300,000 statements"), (signal.SIGTERM, "signing reports")]
)
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, sent: signal.Signals, during: str) -> None:
    skip = ["--skip", "verify"] if sent == signal.SIGINT else []
    command = [sys.executable, "-m", "coordinator.cli", "bench", "execute", "--rows", "300000", *skip]
    mark = {"EDGETALLY_BENCH_OF": str(tmp_path)}
    bench = subprocess.Popen(
        [*command, "--folder", str(tmp_path)], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | mark
    )
    assert bench.stderr is not None
    assert any(line.strip() == during for line in bench.stderr)
    bench.send_signal(sent)
    _, told = bench.communicate(timeout=60)
    assert bench.returncode == 130 and told == "edgetally: interrupted\n"
    assert list(tmp_path.iterdir()) == []
    assert not _running_with(str(tmp_path))


def _running_with(mark: str) -> list[str]:
    """Processes that inherited it in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue  # it has just ended
    return found


def test_reports_are_those_of_a_device_in_turn() -> None:
    one, again = reports(5, 2), reports(6, 1)
    assert one.envelopes[1] == again.envelopes[0] and one.keys[1] == again.keys[0] != one.keys[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--rows", "0"], "--rows"), (["--rows", "many"], "--rows"), (["--skip", "other"], "equality, verify")],
)
def test_wrong_options(arguments: list[str], said: str) -> None:
    done = edgetally("bench", "execute", *arguments)
    assert done.returncode == 2 and said in done.stderr
