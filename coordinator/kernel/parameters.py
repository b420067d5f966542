"""What the network agrees on: named integers (and one table of units) with ranges, hashed into every header.

Settings belong to the operator (files, ports, limits) and are not here. A value is never both.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from device_client.core import cbor
from device_client.core.received import UNIT_CHARS_MAX

from .epochs import Calendar

# A unit is [name, minimum, maximum, largest step between two reading sets, longest run of equal values], the first
# three numbers in thousandths of the unit; 0 switches the step or the run check off.
UnitRule = tuple[str, int, int, int, int]
ParameterValue = int | tuple[UnitRule, ...]

UNITS_MAX = 64
THOUSANDTHS_MAX = 10**15
PARAMETER_NAME_CHARS_MAX = 64


class Parameter(NamedTuple):
    """A parameter's name, default, accepted range (inclusive) and meaning."""

    name: str
    default: ParameterValue
    minimum: int
    maximum: int
    meaning: str


class ParameterError(ValueError):
    """A parameter that the network cannot have; the text names it and its accepted range."""


TIME = (
    Parameter("beacon_interval_s", 60, 1, 3600, "seconds between two beacons"),
    Parameter("batch_beacons", 1, 1, 1000, "slots in a batch"),
    Parameter("epoch_beacons", 1440, 2, 1_000_000, "slots in an epoch"),
    Parameter("deadline_beacons", 2, 1, 100, "a statement that quotes an older beacon is late"),
    Parameter("late_beacons_max", 11_520, 1, 1_000_000, "a statement that quotes an older beacon is refused"),
)


class Parameters:
    """Validated values by name, and their one encoding."""

    def __init__(self, declared: Iterable[Parameter], values: Mapping[str, object]) -> None:
        self._declared = {parameter.name: parameter for parameter in declared}
        unknown = sorted(set(values) - set(self._declared))
        if unknown:
            raise ParameterError(f"{unknown[0]}: no such parameter; known are {', '.join(sorted(self._declared))}")
        self._values: dict[str, ParameterValue] = {}
        for name, parameter in self._declared.items():
            self._values[name] = checked(parameter, values.get(name, parameter.default))
        if self.integer("deadline_beacons") > self.integer("late_beacons_max"):
            raise ParameterError("late_beacons_max: must be at least deadline_beacons")
        if self.integer("batch_beacons") > self.integer("epoch_beacons"):
            raise ParameterError("batch_beacons: must be at most epoch_beacons")

    def integer(self, name: str) -> int:
        value = self._values[name]
        assert isinstance(value, int), name
        return value

    def units(self, name: str) -> dict[str, UnitRule]:
        value = self._values[name]
        assert isinstance(value, tuple), name
        return {rule[0]: rule for rule in value}

    def changed(self, name: str, value: object) -> "Parameters":
        """These with another value for one. Raises ParameterError; a parameter of time never changes."""
        if name in {parameter.name for parameter in TIME}:
            raise ParameterError(f"{name}: it counts the network's time, which is fixed at its founding")
        return Parameters(self._declared.values(), {**self._values, name: value})

    def items(self) -> list[tuple[str, ParameterValue]]:
        return sorted(self._values.items())

    @cached_property
    def calendar(self) -> Calendar:
        return Calendar(*(self.integer(parameter.name) for parameter in TIME))

    def encoded(self) -> bytes:
        """[[name, value], ...] by name, deterministic CBOR."""
        return cbor.encode(self.as_list())

    def as_list(self) -> list[list[object]]:
        return [
            [name, [list(rule) for rule in value] if isinstance(value, tuple) else value]
            for name, value in self.items()
        ]

    @cached_property
    def digest(self) -> bytes:
        return hashlib.sha256(self.encoded()).digest()


def checked(parameter: Parameter, value: object) -> ParameterValue:
    if isinstance(parameter.default, tuple):
        return _checked_units(parameter, value)
    if type(value) is not int or not parameter.minimum <= value <= parameter.maximum:
        raise ParameterError(
            f"{parameter.name}: {value!r} is not an integer from {parameter.minimum} to {parameter.maximum}"
            f" ({parameter.meaning})"
        )
    return value


def _checked_units(parameter: Parameter, value: object) -> tuple[UnitRule, ...]:
    problem = ParameterError(
        f"{parameter.name}: needs at most {UNITS_MAX} rows [unit, minimum, maximum, step, run], each unit once,"
        f" minimum <= maximum, thousandths within +-{THOUSANDTHS_MAX}"
    )
    if not isinstance(value, list | tuple) or len(value) > UNITS_MAX:
        raise problem
    rules: list[UnitRule] = []
    for row in value:
        if not isinstance(row, list | tuple) or len(row) != 5:
            raise problem
        unit, *numbers = row
        if not isinstance(unit, str) or len(unit) > UNIT_CHARS_MAX or unit in {rule[0] for rule in rules}:
            raise problem
        if not all(type(number) is int and abs(number) <= THOUSANDTHS_MAX for number in numbers):
            raise problem
        minimum, maximum, step, run = numbers
        if minimum > maximum or step < 0 or run < 0:
            raise problem
        rules.append((unit, minimum, maximum, step, run))
    return tuple(rules)
