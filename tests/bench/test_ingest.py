"""`edgetally bench ingest`, small: every figure is there and can be true; and it ends in order when it cannot go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.bench.told import lines
from coordinator.ingest import mosquitto
from tests.cli.inside import edgetally
from tests.parts import ROOT

COMMAND = ("bench", "ingest", "--connections", 20, "--devices", 200, "--runs", 1)
FIGURES = ("reports_per_s", "ratio", "sets_per_s", "p50_ms", "p99_ms", "rss_mb", "load_us_per_report")


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_all_figures(broker: str) -> None:
    skip = ["--skip", "naive"] if broker == "embedded" else []
    done = edgetally(*COMMAND, "--seconds", 0.5, "--in-flight", 4, "--broker", broker, "--json", *skip)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert all(found[name] > 0 for name in FIGURES)
    bare, cpu = found["bare_verify_per_s"], found["cpu_us_per_report"]
    assert set(bare) == {"one", "two"} and all(value > 0 for value in bare.values())
    assert cpu["crypto"] > 0 and cpu["other"] > 0 and (cpu["broker"] > 0) == (broker == "mosquitto")
    assert found["ratio"] == pytest.approx(found["reports_per_s"] / bare["two"], rel=0.01)
    assert found["p50_ms"] <= found["p99_ms"]
    assert (found["devices"], found["connections"], found["refused"], found["two_process"]) == (200, 20, 0, None)
    assert (found["naive_reports_per_s"] is None) == bool(skip)
    assert found["broker"] == broker and len(lines(found)) > 10


def test_with_batches_sealed_meanwhile() -> None:
    skip = "naive,sets,latency"
    done = edgetally(*COMMAND, "--seconds", 1.5, "--beacon-seconds", 1, "--skip", skip, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batches"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--broker", "other"], "mosquitto, embedded"),
        (["--skip", "naive,all"], "'all'"),
        (["--devices", "3"], "at least 20"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    done = edgetally(*COMMAND, *arguments)
    assert done.returncode == 2 and said in done.stderr


def test_without_mosquitto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosquitto, "SEARCHED", str(tmp_path))
    done = edgetally(*COMMAND)
    assert done.returncode == 1 and "apt-get install mosquitto" in done.stderr


@pytest.mark.parametrize(
    ("sent", "during"), [(signal.SIGINT, "run 1: highest rate"), (signal.SIGTERM, "signing reports")]
)
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, sent: signal.Signals, during: str) -> None:
    command = [sys.executable, "-m", "coordinator.cli", *map(str, COMMAND), "--seconds", "4", "--skip", "sets,latency"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    bench = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    assert bench.stderr is not None
    assert any(line.strip() == during for line in bench.stderr)
    bench.send_signal(sent)
    _, told = bench.communicate(timeout=60)
    assert bench.returncode == 130 and told == "edgetally: interrupted\n"
    assert list(tmp_path.iterdir()) == []
    assert not _running(str(tmp_path))


def _running(mentioned: str) -> list[str]:
    """Command lines of processes that work in a folder; those that are just ending get a moment."""
    for _ in range(50):
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            found += [command] if mentioned in command else []
        if not found:
            break
        time.sleep(0.1)
    return found
