"""What was measured: the readings against fractions, the weights against sets of windows."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.modules import sensing
from coordinator.modules.sensing import BAD_READINGS, CONSTANT, JUMP, MEASURED, NOTHING_MEASURED, OUT_OF_BOUNDS
from device_client.core.statement import MISSING

from .build import Alone, all_in_time, context, device_id, device_row, frame, identity_view, row

UNITS = {"Cel": ("Cel", -60_000, 130_000, 20_000, 3), "lx": ("lx", 0, 200_000, 0, 0)}
numbers = st.integers(-(2**63) + 1, 2**63 - 1)


@settings(max_examples=300)
@given(numbers | st.integers(-200, 200), st.integers(-12, 12), st.integers(-(10**15), 10**15), st.integers(0, 10**15))
def test_bounds_are_compared_exactly(value: int, exponent: int, minimum: int, span: int) -> None:
    scaled = Fraction(value) * Fraction(10) ** (exponent + 3)  # in thousandths, as the bounds
    assert sensing._within(value, exponent, minimum, minimum + span) == (minimum <= scaled <= minimum + span)


@pytest.mark.parametrize(
    ("exponent", "highest"), [(-12, 130 * 10**12), (-3, 130_000), (-2, 13_000), (-1, 1_300), (0, 130), (1, 13)]
)
def test_bounds_at_the_exact_limit(exponent: int, highest: int) -> None:
    channels = [["t", "Cel", exponent]]
    for value, code in ((highest, MEASURED), (highest + 1, OUT_OF_BOUNDS)):
        assert sensing.measure(None, row(1, 1, 0), channels, [[0, value]], UNITS)[0] == code
    lowest = -(60 * highest // 130)
    for value, code in ((lowest, MEASURED), (lowest - 1, OUT_OF_BOUNDS)):
        assert sensing.measure(None, row(1, 1, 0), channels, [[0, value]], UNITS)[0] == code


CHANNELS = [["t", "Cel", 0], ["l", "lx", -3], ["x", "unheard", 0]]


class Oracle:
    """Remembers every set of every report, with the number of its report."""

    def __init__(self) -> None:
        self.history: list[tuple[int, list[int]]] = []

    def code(self, seq: int, sets: list[list[int]]) -> int:
        if not sets:
            return NOTHING_MEASURED
        start = len(self.history)
        self.history += [(seq, one) for one in sets]
        if all(value == MISSING for _, one in self.history[start:] for value in one):
            return NOTHING_MEASURED
        bounds = jump = constant = False
        for at in range(start, len(self.history)):
            celsius, light, _ = self.history[at][1]
            bounds |= light != MISSING and not 0 <= light <= 200_000
            if celsius == MISSING:
                continue
            bounds |= not -60 <= celsius <= 130
            before = self.history[at - 1] if at else (seq, [MISSING])
            if self.history[at][0] - before[0] <= 1 and before[1][0] != MISSING:
                jump |= abs(celsius - before[1][0]) > 20
            last = [one[0] for _, one in self.history[: at + 1] if one[0] != MISSING][-4:]
            constant |= len(last) == 4 and len(set(last)) == 1
        return OUT_OF_BOUNDS if bounds else JUMP if jump else CONSTANT if constant else MEASURED


celsius = st.sampled_from([5, 5, 5, 5, 5, 5, 6, 25, 26, 131, -61, MISSING, MISSING])
light = st.sampled_from([0, 1, 200_000, 200_001, MISSING])
sets = st.lists(st.tuples(celsius, light, numbers | st.just(MISSING)).map(list), max_size=4)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2]), sets), max_size=12))
def test_codes_as_an_oracle_with_the_whole_history(reports: list[tuple[int, list[list[int]]]]) -> None:
    memory, oracle, seq = None, Oracle(), 0
    for step, found in reports:
        seq += step
        timed = [[0, *one] for one in found]
        code, memory = sensing.measure(memory, row(1, seq, 0), CHANNELS, timed, UNITS)
        assert code == oracle.code(seq, found)


def test_a_jump_is_a_step_between_neighbours_only() -> None:
    memory = sensing.measure(None, row(1, 1, 0), [["t", "Cel", 0]], [[0, 5]], UNITS)[1]
    for later, code in ((row(1, 2, 0), JUMP), (row(1, 3, 0), MEASURED), (row(1, 2, 0, boot=2), MEASURED)):
        assert sensing.measure(memory, later, [["t", "Cel", 0]], [[0, 26]], UNITS)[0] == code
    assert sensing.measure(memory, row(1, 2, 0), [["t", "Cel", 0]], [[0, 25]], UNITS)[0] == MEASURED


FAULTS = [OUT_OF_BOUNDS, JUMP, CONSTANT, BAD_READINGS, NOTHING_MEASURED]
# (device, quoted, age, code)
measured = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 25), st.integers(0, 5), st.sampled_from([MEASURED] * 8 + FAULTS)),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(measured, st.integers(1, 7), st.sampled_from([0, 300_000, 1_000_000]), st.sampled_from([60, 120, 240]))
def test_weights_are_the_windows_that_were_measured(
    said: list[tuple[int, int, int, int]], size: int, late_ppm: int, interval_s: int
) -> None:
    rows = [
        row(device, seq, quoted + age, quoted, measured=code)
        for seq, (device, quoted, age, code) in enumerate(said, start=1)
    ]
    devices = {index: device_row(index, interval_s=interval_s) for index in range(3)}
    reads = {"identity": identity_view(devices, all_in_time(rows))}
    module, found = Alone(sensing.MODULE), {}
    for first in range(0, 49, size):
        at = frame(first, first + size - 1, sensing_late_ppm=late_ppm)
        effects = module.batch(at, [one for one in rows if first <= one.slot < first + size], reads)
        found.update({(one[1], one[0]): one[2:] for one in effects.records["sensing"]})
    length = interval_s // 60
    total = 10 // length
    expected = {}
    for device in range(3):
        # In time it counts in the epoch that it quotes, late in the one in which it comes.
        mine = [(q if age <= 2 else q + age, age > 2, code) for one, q, age, code in said if one == device]
        for epoch in {slot // 10 for slot, _, _ in mine}:
            here = [(slot % 10, late, code) for slot, late, code in mine if slot // 10 == epoch]
            windows = {min(slot // length, total - 1) for slot, late, code in here if code == MEASURED and not late}
            late_count = sum(1 for _, late, code in here if code == MEASURED and late)
            counts = [sum(1 for _, _, code in here if code == fault) for fault in FAULTS]
            weight = min(Fraction(len(windows) * 10**6 + late_count * late_ppm, total), Fraction(10**6))
            if counts[FAULTS.index(CONSTANT)]:
                weight = Fraction(0)
            expected[(device_id(device), epoch)] = (len(windows), total, late_count, *counts, int(weight))
    assert found == expected


def test_an_epoch_with_a_stuck_sensor_earns_nothing_for_sensing() -> None:
    rows = [row(1, slot + 1, slot, measured=CONSTANT if slot == 7 else MEASURED) for slot in range(10)]
    reads = {"identity": identity_view({1: device_row(1)}, all_in_time(rows))}
    effects = Alone(sensing.MODULE).batch(frame(0, 19), rows, reads)
    assert [(one[2], one[-1]) for one in effects.records["sensing"]] == [(9, 0)]
    assert effects.findings == {0: {device_id(1): 0}}


def test_invariants_see_what_they_forbid() -> None:
    at = frame(0, 19)
    reads = {"identity": identity_view({1: device_row(1)}, {})}
    effects = Alone(sensing.MODULE).batch(at, [], reads)
    at_end = context({}, reads, at)
    for windows, weight in ((11, 0), (1, 1_000_001)):
        bad = (0, device_id(1), windows, 10, 0, 0, 0, 0, 0, 0, weight)
        with pytest.raises(AssertionError, match="sensing of"):
            sensing.MODULE.check(at_end, effects._replace(records={"sensing": np.array([bad], sensing.SENSING.dtype)}))
    left = {"tallies": {(device_id(1), 0): (b"\1", 0, 0, 0, 0, 0, 0)}}
    with pytest.raises(AssertionError, match="outlived its epoch"):
        sensing.MODULE.check(at_end, effects._replace(delta=left))
