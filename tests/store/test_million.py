"""What a registered device costs that does not speak: next to nothing."""

import json
import subprocess
import sys
from pathlib import Path

from .million import SPEAKERS

FEW, MANY = 2_000, 100_000
BYTES_A_DEVICE_MAX = 250


def costs(folder: Path, devices: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.store.million", folder / str(devices), str(devices)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_device_that_does_not_speak_costs_neither_memory_nor_start_nor_batch(tmp_path: Path) -> None:
    few, many = costs(tmp_path, FEW), costs(tmp_path, MANY)
    again = [costs(tmp_path, FEW), costs(tmp_path, MANY)]
    for what in ("started_bytes", "memory_bytes"):
        assert (many[what] - few[what]) / (MANY - FEW) <= BYTES_A_DEVICE_MAX, what
    start_ms = [min(one["start_ms"], two["start_ms"]) for one, two in zip((few, many), again, strict=True)]
    assert start_ms[1] <= 3 * start_ms[0], "the start depends on how many are registered"
    assert many["batch_rows"] == few["batch_rows"] <= 6 * SPEAKERS
    assert many["batch_queries"] == few["batch_queries"] <= 10
    assert many["other_epoch_rows"] == few["other_epoch_rows"] <= 10, "looks at epochs that do not close"
