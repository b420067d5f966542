"""The viper code with the integers of a 32-bit board, see viper_32bit.py."""

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.firmware.curve_parts import load
from tests.firmware.viper_32bit import load_all
from tests.parts import ROOT

P = 2**255 - 19
OPERATIONS = [lambda a, b: a * b, lambda a, b: a**2, lambda a, b: a + b, lambda a, b: a - b]
chance = random.Random(32)
VALUES = [0, 1, 19, P - 1, P, 2**255 - 1, 2**254, *(chance.randrange(2**255) for _ in range(5))]


@pytest.fixture(scope="module")
def ed25519() -> Iterator[ModuleType]:
    load("ed25519")
    with pytest.MonkeyPatch.context() as patch:
        yield load_all(patch)


def slot(memory: bytearray, number: int) -> int:
    packed = bytearray(32)
    sys.modules["_scalar_viper"].pack(packed, memory, number)
    return int.from_bytes(packed, "little")


def program(*step: int) -> bytes:
    """A collection of one program of one step, as make_tables.py writes it."""
    return bytes((1, 1, 0, 0, *step))


def test_field_operations_are_those_of_integers(ed25519: ModuleType) -> None:
    field, field_bytes = sys.modules["_field_viper"], sys.modules["_scalar_viper"]
    memory, columns = bytearray(40 * 4), bytearray(240)
    for a in VALUES:
        for b in chance.sample(VALUES, 4):
            field_bytes.unpack(memory, 1, a.to_bytes(32, "little"), 1)
            field_bytes.unpack(memory, 2, b.to_bytes(32, "little"), 1)
            assert slot(memory, 1) == a % P
            for code, operation in enumerate(OPERATIONS):
                field.run(memory, memory, columns, program(code, 3, 1, 1 if code == 1 else 2), 0, 0)
                assert slot(memory, 3) == operation(a, b) % P


@pytest.mark.parametrize("limb", [0, 8191])
def test_bounds_of_the_largest_limbs(ed25519: ModuleType, limb: int) -> None:
    """The loosest element that an operation may leave, with itself: no result is wrong or looser."""
    field = sys.modules["_field_viper"]
    memory, columns = bytearray(40 * 4), bytearray(240)
    limbs = [8250, 8191, 8193, *[limb] * 16, 255]
    memory[40:80] = b"".join(value.to_bytes(2, "little") for value in limbs)
    value = sum(value << 13 * i for i, value in enumerate(limbs))
    for code, operation in enumerate(OPERATIONS):
        field.run(memory, memory, columns, program(code, 3, 1, 1), 0, 0)
        assert slot(memory, 3) == operation(value, value) % P
        left = [int.from_bytes(memory[i : i + 2], "little") for i in range(120, 160, 2)]
        assert max(left) <= 8250
        assert left[19] <= 255


def test_sha512(ed25519: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    message = bytes(range(256)) * 2
    monkeypatch.setattr(sys.modules["sha512"], "compress", sys.modules["_sha512_viper"].compress)
    assert sys.modules["sha512"].sha512(message) == hashlib.sha512(message).digest()


def test_a_signature_and_its_verification(ed25519: ModuleType) -> None:
    vector = json.loads((ROOT / "tests/vectors/ed25519.json").read_text())["vectors"][2]
    seed, public, message, signature = (
        bytes.fromhex(vector[part]) for part in ("seed", "public", "message", "signature")
    )
    assert ed25519.multiply_base.__module__ == "_ed25519_viper"
    assert ed25519.sign(seed, message) == signature
    assert ed25519.public_key(seed) == public
    assert ed25519.verify(public, message, signature)
