"""Many reports, really signed: decoded and checked on one thread, on two, and on Dask with two workers.

    python -m coordinator.bench.execution.verification COUNT

tells its progress and then its `result`, each as one JSON object a line.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import nacl.signing

from coordinator.bench.children import tell
from coordinator.bench.options import BenchFailed
from coordinator.engine.bulk_verify import failing
from coordinator.engine.choice import make_engine
from coordinator.engine.engines import EngineFailed, ProcessEngine
from coordinator.engine.report_shape import ReportShape
from coordinator.loops import collect_rarely
from device_client.core import cose, statement

KEYS = 1000
GENESIS = hashlib.sha256(b"edgetally bench execute").digest()
PART_REPORTS = 5000
WORKERS = 2
Told = Callable[[str, float, float], None]


class Made(NamedTuple):
    """Envelopes, and the public key of the signer of each."""

    envelopes: list[bytes]
    keys: list[bytes]


def _key(number: int) -> nacl.signing.SigningKey:
    return nacl.signing.SigningKey(hashlib.sha256(b"device %d" % number).digest())


def reports(first: int, count: int) -> Made:
    """Reports `first`, `first` + 1, ...: in turn of each key."""
    held = [_key(number) for number in range(KEYS)]
    envelopes, keys = [], []
    for number in range(first, first + count):
        key = held[number % KEYS]
        public_key = bytes(key.verify_key)
        nonce, before = number.to_bytes(16, "big"), hashlib.sha256(number.to_bytes(8, "big")).digest()[:16]
        body: list[object] = [0, hashlib.sha256(nonce).digest()]
        one = statement.Statement(nonce, 60 * number, 1, statement.KIND_REPORT, number + 2, before, body)
        sign = partial(_signature, key)
        envelopes.append(statement.sealed(one, cose.signer_id(public_key), GENESIS, sign)[0])
        keys.append(public_key)
    return Made(envelopes, keys)


def _signature(key: nacl.signing.SigningKey, message: bytes) -> bytes:
    return key.sign(message).signature


def _part(bounds: tuple[int, int]) -> Made:
    return reports(*bounds)


def made(count: int, told: Told) -> Made:
    bounds = [(first, min(PART_REPORTS, count - first)) for first in range(0, count, PART_REPORTS)]
    found = Made([], [])
    with ProcessEngine(WORKERS) as engine:
        for at in range(0, len(bounds), 2 * WORKERS):
            told("signing reports", at, len(bounds))
            for part in engine.map(_part, bounds[at : at + 2 * WORKERS]):
                found.envelopes.extend(part.envelopes)
                found.keys.extend(part.keys)
    return found


def _decoded(envelopes: list[bytes]) -> tuple[float, list[bytes], list[bytes]]:
    """CPU seconds, signed messages, signatures."""
    shape = ReportShape(GENESIS)
    seconds = 0.0
    messages, signatures = [], []
    # Block by block: holding a million decoded ones would cost a third more, and nobody who verifies needs to.
    for at in range(0, len(envelopes), PART_REPORTS):
        cpu = time.process_time()
        taken = [shape.envelope_taken_apart(envelope) for envelope in envelopes[at : at + PART_REPORTS]]
        seconds += time.process_time() - cpu
        for one in taken:
            assert one is not None, "a report of our own making is none"
            messages.append(one.signed)
            signatures.append(one.signature)
    return seconds, messages, signatures


def measured(count: int, told: Told) -> dict[str, Any]:
    """`cpu_us` of decoding and checking one report on one thread, and rates of checking. Raises BenchFailed."""
    given = made(count, told)
    told("verification", 0, 3)
    decode_s, messages, signatures = _decoded(given.envelopes)
    wrong = count // 3
    signatures[wrong] = bytes(reversed(signatures[wrong]))
    found: dict[str, Any] = {}
    for at, (name, engine_name) in enumerate((("one", "serial"), ("two", "threads"), ("dask", "dask"))):
        told("verification", at, 3)
        with make_engine(engine_name, WORKERS) as engine:
            failing(given.keys[:100], messages[:100], signatures[:100], engine, 10)  # every worker has begun
            cpu, wall = time.process_time(), time.perf_counter()
            bad = failing(given.keys, messages, signatures, engine)
            found[name] = count / (time.perf_counter() - wall)
            check_s = time.process_time() - cpu
        if bad != [wrong]:
            raise BenchFailed(f"{engine_name}: {bad[:3]} do not hold, it should be {wrong} alone")
        if name == "one":
            found["cpu_us"] = (decode_s + check_s) / count * 1e6
            found["decode_us"] = decode_s / count * 1e6
    return found


def main() -> None:
    collect_rarely()
    try:
        result = measured(int(sys.argv[1]), lambda what, done, of: tell(what=what, done=done, of=of))
    except (BenchFailed, EngineFailed) as error:
        tell(failed=str(error))
        sys.exit(1)
    tell(result=result)


if __name__ == "__main__":
    main()
