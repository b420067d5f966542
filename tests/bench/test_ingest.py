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
from coordinator.ingest.mosquitto import SEARCHED
from tests.parts import ROOT

COMMAND = [sys.executable, "-m", "coordinator.cli", "bench", "ingest"]
TINY = ["--connections", "20", "--seconds", "0.6", "--runs", "1", "--devices", "200"]
NUMBERS = ("reports_per_s", "ratio", "sets_per_s", "p50_ms", "p99_ms", "rss_mb", "load_us_per_report")


def measured(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [*COMMAND, *TINY, "--json", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("broker", ["mosquitto", "embedded"])
def test_all_figures(broker: str) -> None:
    found = measured("--broker", broker, "--skip", "naive")
    assert all(found[name] > 0 for name in NUMBERS)
    bare, cpu = found["bare_verify_per_s"], found["cpu_us_per_report"]
    assert 0 < bare["one"] and 0 < bare["two"] and set(bare) == {"one", "two"}
    assert cpu["crypto"] > 0 and cpu["other"] > 0 and (cpu["broker"] > 0) == (broker == "mosquitto")
    assert found["ratio"] == pytest.approx(found["reports_per_s"] / bare["two"], rel=0.01)
    assert found["p50_ms"] <= found["p99_ms"]
    assert found["naive_reports_per_s"] is None and found["two_process"] is None
    assert (found["devices"], found["connections"], found["refused"]) == (200, 20, 0)
    assert found["broker"] == broker and len(lines(found)) > 10


def test_the_naive_way_is_measured_beside_it() -> None:
    found = measured("--skip", "sets,latency", "--in-flight", "4")
    assert 0 < found["naive_reports_per_s"] < found["reports_per_s"]
    assert found["sets_per_s"] is None and found["p50_ms"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--broker", "other"], "mosquitto, embedded"),
        (["--skip", "naive,all"], "'all'"),
        (["--devices", "3"], "at least 20"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    done = subprocess.run([*COMMAND, *TINY, *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_without_mosquitto(tmp_path: Path) -> None:
    program = f"import coordinator.ingest.mosquitto as m; m.SEARCHED = {str(tmp_path)!r}\n" + (
        "import sys; from coordinator.cli import main; sys.argv = ['edgetally', 'bench', 'ingest']; main()"
    )
    assert SEARCHED != str(tmp_path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1 and "apt-get install mosquitto" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, sent: signal.Signals) -> None:
    bench = subprocess.Popen(
        [*COMMAND, "--connections", "20", "--seconds", "60", "--runs", "1", "--skip", "naive,sets,latency"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert bench.stderr is not None
    for line in bench.stderr:
        if "highest rate" in line:
            break
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
