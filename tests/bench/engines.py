"""Bulk verification on every engine: `python -m tests.bench.engines [signatures]`. Prints signatures a second."""

import sys
import time

import nacl.signing

from coordinator.engine.bulk_verify import failing
from coordinator.engine.choice import make_engine
from coordinator.engine.engines import NAMES

WORKERS, KEYS, MESSAGE_BYTES = 2, 100, 220


def main(count: int) -> None:
    held = [nacl.signing.SigningKey(number.to_bytes(32, "big")) for number in range(1, KEYS + 1)]
    messages = [number.to_bytes(MESSAGE_BYTES, "big") for number in range(count)]
    signatures = [held[index % KEYS].sign(message).signature for index, message in enumerate(messages)]
    keys = [bytes(held[index % KEYS].verify_key) for index in range(count)]
    for name in NAMES:
        began = time.monotonic()
        with make_engine(name, WORKERS) as engine:
            failing(keys[:100], messages[:100], signatures[:100], engine, 1)  # every worker has begun
            ready = time.monotonic()
            assert failing(keys, messages, signatures, engine) == []
            took_s = time.monotonic() - ready
        print(f"{name:10} start {ready - began:5.2f} s   {count / took_s:8,.0f} signatures/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
