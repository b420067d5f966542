"""What a registered device costs the coordinator that runs a mosquitto: next to nothing."""

import json
import subprocess
import sys
from pathlib import Path

from tests.parts import require_mosquitto

FEW, MANY = 1_000, 40_000
BYTES_A_DEVICE_MAX = 100


def costs(folder: Path, devices: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.credentials", folder / str(devices), str(devices)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_device_that_may_connect_costs_no_memory(tmp_path: Path) -> None:
    require_mosquitto()
    for is_first in (True, False):
        few, many = costs(tmp_path, FEW), costs(tmp_path, MANY)
        assert few["is_written_first"] == many["is_written_first"] == is_first
        assert (many["peak_bytes"] - few["peak_bytes"]) / (MANY - FEW) <= BYTES_A_DEVICE_MAX
