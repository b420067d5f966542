"""firmware/lib/sha512.py against hashlib, on CPython and on MicroPython with and without viper."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.firmware.curve_parts import LIB, ask, load, without_viper

sha512 = load("sha512")

LENGTHS = [*range(301), 383, 384, 1000, 4096, 10_000]
MESSAGES = [bytes((7 * i + length) & 255 for i in range(length)) for length in LENGTHS]
DIGESTS = [hashlib.sha512(message).hexdigest() for message in MESSAGES]


def test_every_length_on_cpython() -> None:
    assert [sha512.sha512(message).hex() for message in MESSAGES] == DIGESTS


@pytest.mark.parametrize("viper", [True, False], ids=["viper", "fallback"])
def test_every_length_on_micropython(viper: bool, tmp_path: Path) -> None:
    lib = LIB if viper else without_viper(tmp_path)
    assert ask(lib, [("viper",)]) == [str(viper)]
    assert ask(lib, [("sha512", message.hex()) for message in MESSAGES]) == DIGESTS


@pytest.mark.parametrize("viper", [True, False], ids=["viper", "fallback"])
def test_parts_of_any_size_on_micropython(viper: bool, tmp_path: Path) -> None:
    lib = LIB if viper else without_viper(tmp_path)
    message = MESSAGES[300]
    answers = ask(lib, [("hash_in_parts", message.hex(), bytes([size]).hex()) for size in range(1, 256)])
    assert set(answers) == {DIGESTS[300]}


@given(st.lists(st.binary(max_size=400)))
def test_parts_are_their_concatenation(parts: list[bytes]) -> None:
    assert sha512.sha512(*parts) == hashlib.sha512(b"".join(parts)).digest()
