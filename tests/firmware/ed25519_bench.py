"""Runs on MicroPython: prints the median time and the garbage of a signature and of a verification as JSON."""

import gc
import json
import time

import ed25519

seed = bytes(range(32))
message = bytes(160)
public = ed25519.public_key(seed)
signature = ed25519.sign(seed, message)


def measure(work):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    work()
    garbage = gc.mem_alloc() - before
    gc.enable()
    times = []
    for _ in range(100):
        start = time.ticks_us()
        work()
        times.append(time.ticks_diff(time.ticks_us(), start))
    return {"median_us": sorted(times)[50], "garbage": garbage}


print(
    json.dumps(
        {
            "sign": measure(lambda: ed25519.sign(seed, message)),
            "verify": measure(lambda: ed25519.verify(public, message, signature)),
        }
    )
)
