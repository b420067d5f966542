"""Runs on MicroPython: lives of a client, from the number of steps and the seeds on the command line."""

# ruff: noqa: E402, F401
# Compiling takes more memory than running: what one file left behind goes before the next is compiled.
import gc
import sys

import device_client.core.client

gc.collect()
import device_client.core.outbox

gc.collect()
import tests.core.client_bench

gc.collect()
from tests.core.client_life import live

for seed in sys.argv[2:]:
    # As a board does: otherwise what lives long ends up scattered, and no room of a kilobyte is left.
    print(live(int(seed), int(sys.argv[1]), 6, gc.collect).trace.digest().hex())
