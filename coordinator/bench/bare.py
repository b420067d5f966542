"""What signature checks alone cost here: PyNaCl in a loop, on one and on two threads, nothing beside it."""

import threading
import time
from typing import NamedTuple

import nacl.signing
from nacl.bindings import crypto_sign_open

SECONDS_MAX = 1.0
SHEET_BYTES = 800  # under the signature of a full receipt sheet


class Sample(NamedTuple):
    """One statement as libsodium wants it."""

    signed: bytes  # signature, then the signed bytes
    public_key: bytes


class Bare(NamedTuple):
    one_per_s: float
    two_per_s: float
    verify_us: float  # CPU of one check on one thread
    sign_us: float


def measured(samples: list[Sample], seconds: float) -> Bare:
    """For so long on one thread, and again on two, or less."""
    seconds = min(seconds, SECONDS_MAX)
    one = _threads(1, samples, seconds)
    two = _threads(2, samples, seconds)
    key = nacl.signing.SigningKey(bytes(32))
    message, count, started = bytes(SHEET_BYTES), 2000, time.thread_time()
    for _ in range(count):
        key.sign(message)
    return Bare(one[0], two[0], one[1], (time.thread_time() - started) / count * 1e6)


def mean(before: Bare, after: Bare) -> Bare:
    return Bare(*((one + other) / 2 for one, other in zip(before, after, strict=True)))


def _threads(number: int, samples: list[Sample], seconds: float) -> tuple[float, float]:
    """(checks a second of all threads, CPU us of one check)."""
    counts: list[tuple[int, float]] = []

    def work() -> None:
        count, started = 0, time.thread_time()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for signed, public_key in samples:
                crypto_sign_open(signed, public_key)
            count += len(samples)
        counts.append((count, time.thread_time() - started))

    threads = [threading.Thread(target=work) for _ in range(number)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    count, cpu_s = sum(one for one, _ in counts), sum(one for _, one in counts)
    return count / elapsed, cpu_s / count * 1e6
