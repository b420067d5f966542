"""Presence against sets of windows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.modules import presence
from device_client.core import verdicts

from .build import Alone, all_in_time, context, device_id, device_row, enroll, frame, identity_view, row

EPOCH = 10
intervals_s = st.sampled_from([1, 60, 61, 120, 180, 300, 599, 600, 6000])


def windows_of(interval_s: int) -> list[set[int]]:
    """The slots of an epoch in whole windows, the rest with the last one."""
    length = min(max(1, -(-interval_s // 60)), EPOCH)
    found = [set(range(at, at + length)) for at in range(0, EPOCH - length + 1, length)]
    found[-1] |= set(range(EPOCH)) - set().union(*found)
    return found


# (device, quoted, age)
spoken = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 25), st.integers(0, 4)), max_size=40)


@settings(max_examples=150, deadline=None)
@given(spoken, st.tuples(intervals_s, intervals_s, intervals_s), st.integers(1, 7))
def test_a_device_is_present_in_the_windows_that_it_spoke_in(
    said: list[tuple[int, int, int]], intervals: tuple[int, int, int], size: int
) -> None:
    rows = [row(device, seq, quoted + age, quoted) for seq, (device, quoted, age) in enumerate(said, start=1)]
    codes = all_in_time(rows)
    devices = {index: device_row(index, interval_s=interval) for index, interval in enumerate(intervals)}
    module, found = Alone(presence.MODULE), {}
    for first in range(0, 49, size):
        batch = [one for one in rows if first <= one.slot < first + size]
        effects = module.batch(frame(first, first + size - 1), batch, {"identity": identity_view(devices, codes)})
        for epoch, device, present, total, weight in effects.records["presence"]:
            found[(device, epoch)] = (present, total, weight)
    expected = {}
    for index, interval_s in enumerate(intervals):
        slots: set[int] = set()
        for device, quoted, age in said:
            if device == index and age <= 2:
                slots |= {quoted, quoted + 1} if age else {quoted}
        windows = windows_of(interval_s)
        for epoch in {slot // EPOCH for slot in slots}:
            here = {slot % EPOCH for slot in slots if slot // EPOCH == epoch}
            present = sum(1 for window in windows if window & here)
            expected[(device_id(index), epoch)] = (present, len(windows), 1_000_000 * present // len(windows))
    assert found == expected
    assert module.state["windows"] == {} or not said


def weight_of(rows: list, interval_s: int = 60) -> int:  # type: ignore[type-arg]
    effects = Alone(presence.MODULE).batch(
        frame(0, 19), rows, {"identity": identity_view({1: device_row(1, interval_s=interval_s)}, all_in_time(rows))}
    )
    return next((one[4] for one in effects.records["presence"] if one[0] == 0), 0)  # type: ignore[return-value]


def test_one_lost_beacon_costs_nothing() -> None:
    # Beacon 4 never reached it: it went on quoting 3, in slot 4.
    heard = [row(1, slot + 1, slot, 3 if slot == 4 else slot) for slot in range(10)]
    assert weight_of(heard) == 1_000_000
    # Two in a row cost a window.
    heard = [row(1, slot + 1, slot, 3 if slot in (4, 5) else slot) for slot in range(10)]
    assert weight_of(heard) == 900_000


def test_a_board_that_sleeps_is_there_when_it_reports_as_declared() -> None:
    assert weight_of([row(1, 1, 2), row(1, 2, 8)], interval_s=300) == 1_000_000
    assert weight_of([row(1, 1, 2), row(1, 2, 4)], interval_s=300) == 500_000


def test_only_what_is_in_time_counts() -> None:
    late = [row(1, slot + 1, slot + 3, slot) for slot in range(10)]
    assert weight_of(late) == 0


@pytest.mark.parametrize("code", [verdicts.LATE, verdicts.FORK, verdicts.QUARANTINED, verdicts.NOT_ENROLLED])
def test_refused_statements_mark_nothing(code: int) -> None:
    one = row(1, 1, 2)
    reads = {"identity": identity_view({1: device_row(1)}, {one.id: code})}
    assert Alone(presence.MODULE).batch(frame(0, 19), [one], reads).records["presence"] == []


def test_an_enrolment_marks_nothing() -> None:
    one = enroll(1, 2)
    reads = {"identity": identity_view({1: device_row(1)}, {one.id: verdicts.OK})}
    assert Alone(presence.MODULE).batch(frame(0, 19), [one], reads).records["presence"] == []


def test_invariants_see_what_they_forbid() -> None:
    at = frame(0, 19)
    reads = {"identity": identity_view({1: device_row(1)}, {})}
    effects = Alone(presence.MODULE).batch(at, [], reads)
    at_end = context({}, reads, at)
    for bad in ((0, device_id(1), 11, 10, 0), (0, device_id(1), 1, 10, 1_000_001)):
        with pytest.raises(AssertionError, match="presence of"):
            presence.MODULE.check(
                at_end, effects._replace(records={"presence": np.array([bad], presence.PRESENCE.dtype)})
            )
    with pytest.raises(AssertionError, match="outlived its epoch"):
        presence.MODULE.check(at_end, effects._replace(delta={"windows": {(device_id(1), 0): (b"\1",)}}))
