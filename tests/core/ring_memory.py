"""Runs on MicroPython: what a ring of 1 MiB, full of statements without a receipt, holds in memory, and how long it is
read at a start. One line of JSON; `growth` is the memory between 50 statements and all of them."""

import gc
import json
import time

from device_client.core.ring import Ring
from tests.core.nor import Nor


def taken():
    gc.collect()
    return gc.mem_alloc()


nor = Nor(256)
ring = Ring(nor)
ring.begin_boot()
early = 0
for seq in range(1, 4001):
    ring.add(seq, bytes(32), 2, bytes(250))
    if seq == 50:
        early = taken()
growth = taken() - early
statements = ring.waiting
ring = None
before = taken()
start = time.ticks_us()
ring = Ring(nor)
scan_us = time.ticks_diff(time.ticks_us(), start)
memory = taken() - before
assert ring.waiting == statements and ring.dropped == 4000 - statements
print(json.dumps({"scan_ms": scan_us / 1000, "memory_bytes": memory, "growth": growth, "statements": statements}))
