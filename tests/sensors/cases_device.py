"""Runs on MicroPython: what the parts of `cases` named on the command line say there."""

import sys

from tests.sensors import cases

for part in sys.argv[1:]:
    print("\n".join(cases.PARTS[part]()))
