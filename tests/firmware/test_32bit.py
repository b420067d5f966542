"""The device's code on a MicroPython with 32-bit words: the same vectors, the same signatures, days of ticks."""

import random
from functools import cache

import nacl.signing
import pytest

from tests import wasm32
from tests.core import judge
from tests.core.parts import FILES, vectors, verify

VERIFIED_REALLY = 12  # of the signatures in a file of vectors
ASK = """
import ed25519
from binascii import hexlify
assert "_ed25519_viper" not in sys.modules and "_sha512_viper" not in sys.modules
for seed, message in {cases!r}:
    signature = ed25519.sign(seed, message)
    assert ed25519.verify(ed25519.public_key(seed), message, signature)
    assert not ed25519.verify(ed25519.public_key(seed), message + b"\\0", signature)
    print(hexlify(ed25519.public_key(seed) + signature).decode())
"""
JUDGE = """
import json
import ed25519
from tests.core import judge
answers = {answers!r}  # of libsodium, in the order in which the core asks
asked = 0

def verify(public, message, signature):
    global asked
    answer = answers[asked] == "1"
    asked += 1
    # Each leaves a megabyte behind, and nothing collects it.
    if asked <= {really}:
        assert ed25519.verify(public, message, signature) == answer
    return answer

with open({mount!r} + "/tests/vectors/{name}.json") as file:
    vectors = json.loads(file.read())  # `load` reads byte by byte
print("\\n".join(judge.judged({name!r}, vectors, verify)))
assert asked == len(answers)
"""
DAYS = """
import time
from counter import Counter

class Board:
    TICKS_PERIOD = 1 << 30
    at = time.ticks_add(0, -3)  # wraps at once

    def ticks_ms(self):
        return self.at

board = Board()
counter = Counter(board)
start, total, wrong, largest = board.at, 0, 0, 0
for step_ms in [59_999, 60_001, 500, 3] * 5_800:  # eight days
    board.at = time.ticks_add(board.at, step_ms)
    total += step_ms
    assert counter.now_ms() == total, (total, counter.now_ms())
    assert board.at < 1 << 30
    wrong += time.ticks_diff(board.at, start) != total
print(sys.maxsize, total, wrong > 0)
"""


@cache
def seeded() -> list[tuple[bytes, bytes]]:
    chance = random.Random(32)
    return [(chance.randbytes(32), chance.randbytes(length)) for length in (0, 1, 63, 127, 128, 300, 1024)]


def test_words_have_32_bits() -> None:
    assert wasm32.run("print(sys.implementation.name, sys.maxsize)") == ["micropython 2147483647"]


def test_an_exception_is_told() -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        wasm32.run("print(1 // 0)")


def test_signatures_are_those_of_rfc_8032_and_of_libsodium() -> None:
    rfc = [
        (bytes.fromhex(one["seed"]), bytes.fromhex(one["message"]), one["public"] + one["signature"])
        for one in vectors("ed25519")["vectors"]
    ]
    cases = [(seed, message) for seed, message, _ in rfc] + seeded()
    right = [expected for *_, expected in rfc]
    for seed, message in seeded():
        key = nacl.signing.SigningKey(seed)
        right.append((bytes(key.verify_key) + key.sign(message).signature).hex())
    assert wasm32.run(ASK.format(cases=cases)) == right


@pytest.mark.parametrize("name", FILES)
def test_the_core_judges_the_vectors_alike(name: str) -> None:
    answers: list[str] = []

    def recorded(public: bytes, message: bytes, signature: bytes) -> bool:
        answers.append("1" if verify(public, message, signature) else "0")
        return answers[-1] == "1"

    lines = judge.judged(name, vectors(name), recorded)
    code = JUDGE.format(mount=wasm32.MOUNT, name=name, answers="".join(answers), really=VERIFIED_REALLY)
    assert wasm32.run(code) == lines


def test_eight_days_of_ticks_are_counted_right() -> None:
    total = (59_999 + 60_001 + 500 + 3) * 5_800
    assert total > 8 * 86_400_000
    assert wasm32.run(DAYS) == [f"{2**31 - 1} {total} True"]
