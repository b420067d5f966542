"""Execution: lanes, engines and arrival change nothing; modules run behind what they read."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.execute import Executed, execute, lane_of, lanes_of, waves
from coordinator.kernel.statements import Statements
from coordinator.kernel.tables import encode_delta, rows_in
from coordinator.modules import MODULES, sensing
from tests.modules.build import enroll, frame, grant, ordered, row


class BackwardsEngine:
    """Does the last part first, as a pool of workers may."""

    def map(self, function: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        return [function(part) for part in reversed(parts)][::-1]


def everything(executed: Executed) -> list[object]:
    tables = {module.name: module.state for module in MODULES}
    return [
        (
            name,
            encode_delta(effects.delta, tables[name]),
            {table: rows_in(rows) for table, rows in effects.records.items()},
            effects.findings,
            {column: values.tolist() for column, values in effects.of_statements.items()},
        )
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
    before = execute({}, frame(0, 0, messages=[grant(1, devices=15)]), Statements.of([])).after
    rows = [enroll(device, 5) for device in range(18)]
    rows += [
        row(device, seq, slot, max(0, slot - age), boot=boot, holder=holder, measured=measured)
        for device, seq, slot, age, boot, holder, measured in found
    ]
    rows = list({one.id: one for one in rows}.values())
    at = frame(1, 24, number=1, reward_vetting_epochs=1)
    expected = everything(execute(before, at, Statements.of(ordered(rows))))
    for lanes in (2, 7, 64):
        shuffled = list(rows)
        random.shuffle(shuffled)
        assert everything(execute(before, at, Statements.of(ordered(shuffled)), BackwardsEngine(), lanes)) == expected


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 80))
def test_a_lane_shares_no_device_with_another(devices: list[int], count: int) -> None:
    statements = Statements.of(ordered([row(device, seq, 0) for seq, device in enumerate(devices, start=1)]))
    bounds = lanes_of(statements, count)
    assert [at for one in bounds for at in range(*one)] == list(range(len(devices)))
    assert len(bounds) <= max(1, count) and all(one.start < one.stop for one in bounds)
    lanes = [lane_of(statements, one) for one in bounds]
    for lane in lanes:
        assert lane.devices[lane.device].tolist() == lane.statements["device"].tolist()
        assert [lane.device.tolist().index(at) for at in range(len(lane.devices))] == lane.starts.tolist()
    assert sum(len(lane.devices) for lane in lanes) == len(set(devices))


def test_waves_stand_behind_what_they_read() -> None:
    assert [[module.name for module in wave] for wave in waves(MODULES)] == [
        ["accounts"],
        ["identity"],
        ["presence", "sensing", "notices"],
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
        execute({}, frame(0, 11), Statements.of([]))
