"""Runs on MicroPython: judges the vector files named on the command line, with the firmware's Ed25519."""

import json
import sys

import ed25519

from tests.core import judge

for path in sys.argv[1:]:
    with open(path) as file:
        vectors = json.load(file)
    name = path.split("/")[-1].split(".")[0]
    print("\n".join(judge.judged(name, vectors, ed25519.verify)))
