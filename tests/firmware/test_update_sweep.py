"""An update under power cuts: real MicroPython, LittleFS and `/main.py`, every write and erase torn in turn."""

import json
import os
import resource
import subprocess
from pathlib import Path

from coordinator.store.rollouts import Release
from tests.firmware.link_parts import FIRMWARE
from tests.firmware.update_parts import BOARD, Publisher
from tests.parts import ROOT, require_micropython

POINTS_MIN = 400
CPU_S_MAX = 240  # it only computes: how long that takes is up to whoever else uses the machine
APP = "import world\n\n\ndef main(safe):\n    world.run({version})\n"


def files(version: int) -> dict[str, bytes]:
    sizes = {"lib/part_0.mpy": 14_000, "lib/part_1.mpy": 901, "deep/er/part.mpy": 5_000, "empty.mpy": 0}
    made = {path: bytes([version + len(path)]) * size for path, size in sizes.items()}
    made["same.mpy"] = bytes(6_000)
    return {**made, "app.py": APP.format(version=version).encode()}


def release_of(publisher: Publisher, version: int) -> Release:
    publisher.release(version, files(version))
    return publisher.rollouts.release(BOARD, version)


def plan_of(folder: Path) -> Path:
    publisher = Publisher(folder)
    found = [release_of(publisher, version) for version in (2, 3)]
    plan = {
        "main": (FIRMWARE / "root" / "main.py").read_text(),
        "files": [[f"/a/{path}", data.hex()] for path, data in files(1).items()],
        "genesis": publisher.genesis.hash.hex(),
        "root_key": publisher.genesis.root_key.hex(),
        "keys": publisher.home.keys.read_bytes().hex(),
        "releases": [
            {"version": one.version, "envelope": one.envelope.hex(), "parts": [part.hex() for part in one.parts]}
            for one in found
        ],
    }
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    return path


def test_every_write_and_erase_torn_in_turn(tmp_path: Path) -> None:
    """Always some version boots, never none; a good one is there in the end, a bad one is rolled back and stays so."""
    arguments = [require_micropython(), "-X", "heapsize=3M", str(Path(__file__).parent / "update_sweep.py")]
    paths = f"{FIRMWARE}:{FIRMWARE / 'lib'}:{ROOT}:.frozen"
    done = subprocess.run(
        [*arguments, str(plan_of(tmp_path))],
        env={**os.environ, "MICROPYPATH": paths},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX)),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert sum(sweep["points"] for sweep in told["sweeps"]) >= POINTS_MIN, told
