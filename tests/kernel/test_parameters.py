"""What the network agrees on: ranges, errors that name the key, one encoding."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine import wire
from coordinator.kernel.parameters import THOUSANDTHS_MAX, UNITS_MAX, Parameter, ParameterError, Parameters
from coordinator.modules import DECLARED

INTEGERS = [parameter for parameter in DECLARED if isinstance(parameter.default, int)]
# Two parameters bind each other: keep the other one out of the way of the range under test.
ROOMY = {"late_beacons_max": 1_000_000, "epoch_beacons": 1_000_000, "deadline_beacons": 1, "batch_beacons": 1}


def with_value(name: str, value: object) -> Parameters:
    return Parameters(DECLARED, {**ROOMY, name: value})


@pytest.mark.parametrize("parameter", INTEGERS, ids=lambda parameter: parameter.name)
def test_range_is_inclusive(parameter: Parameter) -> None:
    for value in (parameter.minimum, parameter.maximum, parameter.default):
        assert with_value(parameter.name, value).integer(parameter.name) == value


@pytest.mark.parametrize("parameter", INTEGERS, ids=lambda parameter: parameter.name)
def test_an_error_names_the_key_the_value_and_the_range(parameter: Parameter) -> None:
    for value in (parameter.minimum - 1, parameter.maximum + 1, "7", 1.0, None, True, [1], b"1"):
        with pytest.raises(ParameterError) as caught:
            with_value(parameter.name, value)
        text = str(caught.value)
        assert text.startswith(f"{parameter.name}: ") and repr(value) in text
        assert f"from {parameter.minimum} to {parameter.maximum}" in text


def test_an_unknown_key_is_named_beside_the_known() -> None:
    with pytest.raises(ParameterError, match=r"^reward_bugdet: no such parameter; known are .*reward_budget"):
        Parameters(DECLARED, {"reward_bugdet": 1})


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"deadline_beacons": 9, "late_beacons_max": 8}, "late_beacons_max"),
        ({"epoch_beacons": 9, "batch_beacons": 10}, "batch_beacons"),
    ],
)
def test_parameters_that_bind_each_other(values: dict[str, int], name: str) -> None:
    with pytest.raises(ParameterError, match=f"^{name}: must be at"):
        Parameters(DECLARED, values)


ROW = ["Cel", -1, 1, 0, 0]


@pytest.mark.parametrize(
    "value",
    [
        7,
        "Cel",
        [ROW] * 2,  # a unit twice
        [[f"u{index}", 0, 1, 0, 0] for index in range(UNITS_MAX + 1)],
        [ROW[:4]],
        [[7, -1, 1, 0, 0]],
        [["Celsiuses", -1, 1, 0, 0]],  # nine characters
        [["Cel", 2, 1, 0, 0]],
        [["Cel", -1, 1, -1, 0]],
        [["Cel", -1, 1, 0, -1]],
        [["Cel", -1.5, 1, 0, 0]],
        [["Cel", False, True, 0, 0]],
        [["Cel", -1, THOUSANDTHS_MAX + 1, 0, 0]],
    ],
)
def test_a_wrong_table_of_units_names_its_key_and_shape(value: Any) -> None:
    with pytest.raises(ParameterError, match=r"^sensing_units: needs at most 64 rows \[unit, minimum"):
        Parameters(DECLARED, {"sensing_units": value})


def test_units_by_name() -> None:
    rule = ("Cel", -THOUSANDTHS_MAX, THOUSANDTHS_MAX, 5, 6)
    assert Parameters(DECLARED, {"sensing_units": [list(rule)]}).units("sensing_units") == {"Cel": rule}


@given(st.permutations([("epoch_beacons", 20), ("beacon_interval_s", 7), ("reward_budget", 5)]))
def test_one_encoding_whatever_the_order(values: list[tuple[str, int]]) -> None:
    parameters = Parameters(DECLARED, dict(values))
    assert parameters.digest == Parameters(DECLARED, dict(sorted(values))).digest
    listed = wire.decoded(parameters.encoded())
    assert [name for name, _ in listed] == sorted(parameter.name for parameter in DECLARED)
    assert Parameters(DECLARED, dict(listed)).encoded() == parameters.encoded()


def test_every_value_changes_the_digest() -> None:
    for parameter in INTEGERS:
        other = parameter.minimum if parameter.default != parameter.minimum else parameter.maximum
        base = {key: value for key, value in ROOMY.items() if key != parameter.name}
        assert Parameters(DECLARED, {**base, parameter.name: other}).digest != Parameters(DECLARED, base).digest


def test_calendar_reads_the_parameters_of_time() -> None:
    calendar = Parameters(DECLARED, {"beacon_interval_s": 3, "epoch_beacons": 7, "batch_beacons": 2}).calendar
    assert tuple(calendar) == (3, 2, 7, 2, 11_520)
