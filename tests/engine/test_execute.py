"""Execution: lanes, engines and arrival change nothing; modules run behind what they read."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.execute import Executed, execute, lanes_of, waves
from coordinator.kernel.module import StatementRow
from coordinator.kernel.tables import encode_delta
from coordinator.modules import MODULES, sensing
from tests.modules.build import enroll, frame, grant, row


class BackwardsEngine:
    """Does the last part first, as a pool of workers may."""

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        return [function(part) for part in reversed(parts)][::-1]


def ordered(rows: Sequence[StatementRow]) -> list[StatementRow]:
    return sorted(rows, key=lambda one: (one.device, one.boot, one.seq, one.id))


def everything(executed: Executed) -> list[object]:
    return [
        (name, encode_delta(effects.delta), dict(effects.records), effects.findings)
        for name, effects in executed.effects.items()
    ] + [executed.after]


# (device, seq, slot, age, boot, holder, measured)
said = st.tuples(
    st.integers(0, 20),
    st.integers(2, 9),
    st.integers(5, 24),
    st.integers(0, 5),
    st.integers(1, 2),
    st.sampled_from([0] * 9 + [1]),
    st.sampled_from([sensing.MEASURED, sensing.MEASURED, sensing.JUMP, sensing.CONSTANT]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(said, max_size=60), st.randoms(use_true_random=False))
def test_lanes_engines_and_arrival_change_nothing(found: list[tuple[int, ...]], random: Any) -> None:
    before = execute({}, frame(0, 0, messages=[grant(1, devices=15)]), []).after
    rows = [enroll(device, 5) for device in range(18)]
    rows += [
        row(device, seq, slot, max(0, slot - age), boot=boot, holder=holder, measured=measured)
        for device, seq, slot, age, boot, holder, measured in found
    ]
    rows = list({one.id: one for one in rows}.values())
    at = frame(1, 24, number=1, reward_vetting_epochs=1)
    expected = everything(execute(before, at, ordered(rows)))
    for lanes in (2, 7, 64):
        shuffled = list(rows)
        random.shuffle(shuffled)
        assert everything(execute(before, at, ordered(shuffled), BackwardsEngine(), lanes)) == expected


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 80))
def test_a_lane_shares_no_device_with_another(devices: list[int], count: int) -> None:
    rows = ordered([row(device, seq, 0) for seq, device in enumerate(devices, start=1)])
    lanes = lanes_of(rows, count)
    assert [one for lane in lanes for one in lane] == rows
    assert len(lanes) <= max(1, count)
    owners = [{one.device for one in lane} for lane in lanes]
    assert sum(len(one) for one in owners) == len(set(devices))


def test_waves_stand_behind_what_they_read() -> None:
    assert [[module.name for module in wave] for wave in waves(MODULES)] == [
        ["accounts"],
        ["identity"],
        ["presence", "sensing"],
        ["rewards"],
        ["ledger"],
        ["messages"],
    ]
    # The order in which they are listed does not matter.
    assert [{module.name for module in wave} for wave in waves(MODULES[::-1])] == [
        {module.name for module in wave} for wave in waves(MODULES)
    ]


def test_modules_that_read_each_other_are_a_fault() -> None:
    one, two = MODULES[0]._replace(reads=("presence",)), MODULES[1]
    with pytest.raises(AssertionError, match="in a circle: identity, presence"):
        waves([one, two])


def test_a_broken_invariant_stops_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(snapshot: Any, partials: Any) -> Any:
        effects = MODULES[3].finish(snapshot, partials)
        return effects._replace(findings=effects.findings * 2)

    broken = (*MODULES[:3], MODULES[3]._replace(finish=twice), *MODULES[4:])
    monkeypatch.setattr("coordinator.engine.execute.MODULES", broken)
    with pytest.raises(AssertionError, match="does not sum to its emission"):
        execute({}, frame(0, 11), [])
