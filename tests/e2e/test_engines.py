"""A coordinator as a process on engines with workers: Ctrl-C for the whole group, as a terminal sends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import ROOT

from .running import CLI, PATIENCE_S, Net, device, until


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_ctrl_c_ends_coordinator_and_workers_without_a_word(tmp_path: Path, engine: str) -> None:
    net = Net(tmp_path / "net")
    command = [*CLI, "up", "--config", str(net.config), "--engine", engine, "--lanes", "2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    with process, device(net, tmp_path / "device"):

        def counted() -> bool:
            assert process.poll() is None, process.communicate()
            try:
                return bool(net.get("network")["statements"] >= 2)
            except OSError:
                return False

        until(counted, "statements in batches")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)  # both end only when the last worker has
    assert process.returncode == 0, err
    assert out == "" and "Traceback" not in err and "Error" not in err, err
    report = net.audit()
    assert report.statements >= 2


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    options = ["--engine", "dask", "--scheduler", "tcp://127.0.0.1:1"]
    command = [sys.executable, "-m", "coordinator.cli", "up", "--config", str(net.config), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("edgetally: no Dask scheduler at tcp://127.0.0.1:1: ")
