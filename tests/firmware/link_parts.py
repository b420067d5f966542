"""What the tests of the link share: the modules under test, and how their scripts are run by either interpreter.

On a device the modules lie side by side, so they are imported from their folder here as well.
"""

import importlib
import os
import sys
from pathlib import Path

from tests.parts import ROOT

FIRMWARE, HERE = ROOT / "firmware", Path(__file__).parent

sys.path[:0] = [str(FIRMWARE), str(HERE)]
link = importlib.import_module("link")
mqtt_packets = importlib.import_module("mqtt_packets")
decode = importlib.import_module("link_decode").decode


def script(interpreter: str, name: str, *arguments: str) -> dict:
    """The arguments with which `subprocess` runs a script of this folder; MicroPython gets a heap of 96 KB."""
    heap = [] if interpreter == sys.executable else ["-X", "heapsize=96K"]
    paths = {"PYTHONPATH": str(FIRMWARE), "MICROPYPATH": f"{FIRMWARE}:.frozen"}
    return {
        "args": [interpreter, *heap, str(HERE / name), *arguments],
        "env": {**os.environ, **paths, "PYTHONUNBUFFERED": "1"},
        "text": True,
    }
