"""Runs MicroPython viper code on CPython as a 32-bit board would: no 32-bit port with viper runs on this machine.

Every operation wraps to 32 bits, `>>` is arithmetic on `int` and logical on `uint`, `ptr32` loads fill a signed
register (on a 64-bit port they do not), and a load or store outside its buffer raises, where a board would corrupt its
heap.
"""

import importlib.util
import inspect
import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.firmware.curve_parts import LIB, load


class Register(int):
    """A 32-bit value; a result has the type of its first typed operand."""

    @classmethod
    def wrap(cls, value: int) -> "Register":
        raise NotImplementedError


class Signed(Register):
    @classmethod
    def wrap(cls, value: int) -> "Signed":
        return cls((value + 2**31) % 2**32 - 2**31)


class Unsigned(Register):
    @classmethod
    def wrap(cls, value: int) -> "Unsigned":
        return cls(value % 2**32)


def wrapping(operation: Callable[[int, int], int]) -> tuple[Callable[..., Register], Callable[..., Register]]:
    def forward(left: Register, right: int) -> Register:
        return left.wrap(operation(int(left), int(right)))

    def backward(right: Register, left: int) -> Register:
        return right.wrap(operation(int(left), int(right)))

    return forward, backward


for _name in ("add", "sub", "mul", "and_", "or_", "xor", "lshift", "rshift"):
    _forward, _backward = wrapping(getattr(operator, _name))
    setattr(Register, f"__{_name.rstrip('_')}__", _forward)
    setattr(Register, f"__r{_name.rstrip('_')}__", _backward)


class Address:
    """What `int(pointer)` is: a place in one buffer."""

    def __init__(self, buffer: Any, offset: int) -> None:
        self.buffer, self.offset = buffer, offset

    def __add__(self, distance: int) -> "Address":
        return Address(self.buffer, self.offset + int(distance))

    def __sub__(self, distance: int) -> "Address":
        return Address(self.buffer, self.offset - int(distance))


class Pointer(Address):
    width = 1

    def __init__(self, to: Any) -> None:
        super().__init__(*((to.buffer, to.offset) if isinstance(to, Address) else (to, 0)))

    def _at(self, index: int) -> slice:
        start = self.offset + int(index) * self.width
        assert start % self.width == 0, "a board cannot load an unaligned word"
        assert 0 <= start <= len(self.buffer) - self.width, "outside the buffer"
        return slice(start, start + self.width)

    def __getitem__(self, index: int) -> Register:
        return Signed.wrap(int.from_bytes(self.buffer[self._at(index)], "little"))

    def __setitem__(self, index: int, value: int) -> None:
        self.buffer[self._at(index)] = (int(value) % 256**self.width).to_bytes(self.width, "little")


class Pointer16(Pointer):
    width = 2


class Pointer32(Pointer):
    width = 4


def cast(value: Any) -> Any:
    """Viper's `int()`."""
    return Address(value.buffer, value.offset) if isinstance(value, Address) else Signed.wrap(value)


def viper(function: Callable[..., Any]) -> Callable[..., Any]:
    casts = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]

    def call(*arguments: Any) -> Any:
        return function(*(cast(value) for cast, value in zip(casts, arguments, strict=True)))

    return call


def load_all(patch: pytest.MonkeyPatch) -> ModuleType:
    """ed25519.py over the viper modules; `sys.modules` holds them until the patch is undone."""
    names = {"ptr8": Pointer, "ptr16": Pointer16, "ptr32": Pointer32, "int": cast, "uint": Unsigned.wrap}
    fake = ModuleType("micropython")
    fake.viper, fake.const = viper, lambda value: value
    patch.setitem(sys.modules, "micropython", fake)
    for name in ("_field_viper", "_scalar_viper", "_sha512_viper"):
        spec = importlib.util.spec_from_file_location(name, LIB / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        vars(module).update(names)
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    patch.delitem(sys.modules, "ed25519", raising=False)
    chosen = load("ed25519")
    # Undoing the patch brings back the modules of before, not these.
    del sys.modules["ed25519"], sys.modules["_ed25519_viper"]
    return chosen
