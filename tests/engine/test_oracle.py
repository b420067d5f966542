"""Whole batches against an oracle that knows no columns, on every engine, whatever the lanes."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.engine.choice import make_engine
from coordinator.engine.engines import Engine
from coordinator.engine.execute import Executed, execute
from coordinator.engine.state import MemoryState
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.kernel.tables import encode_delta, rows_in
from coordinator.modules import MODULES, sensing
from tests.modules.build import enroll, frame, grant, ordered, row

from .oracle import Oracle

PLACES, EPOCH = 5, 10
# (device, steps on in its chain, slot in the batch, age, boot, another holder, measured, enrols again, notices)
said = st.tuples(
    st.integers(0, 6),
    st.sampled_from([1] * 8 + [0, 2, 3]),
    st.integers(0, 3),
    st.sampled_from([0] * 6 + [1, 2, 3, 5, 40]),
    st.sampled_from([0] * 15 + [1]),
    st.sampled_from([0] * 20 + [1]),
    st.sampled_from([sensing.MEASURED] * 8 + [sensing.JUMP, sensing.CONSTANT]),
    st.sampled_from([0] * 15 + [1]),
    st.sampled_from([[]] * 6 + [[[2, 5]], [[2, 9], [16, 1]], [[16, 0]], [[16, 1], [63, 2**32 - 1]]]),
)
batches = st.lists(st.lists(said, max_size=25), min_size=1, max_size=8)
intervals = st.sampled_from([60, 120, 300])


class Speakers:
    """Turns what Hypothesis draws into statements, most of which go on where the device stood."""

    def __init__(self, interval_s: int) -> None:
        self._interval_s = interval_s
        self._boots: dict[int, int] = {}
        self._seqs: dict[int, int] = {}

    def rows(self, first_slot: int, drawn: list[tuple[Any, ...]]) -> list[StatementRow]:
        found: dict[bytes, StatementRow] = {}
        for device, steps, offset, age, reboots, holder, measured, again, told in sorted(drawn, key=lambda one: one[2]):
            slot = first_slot + offset
            quoted = max(0, slot - age)
            if device not in self._boots:
                self._boots[device], self._seqs[device] = 1, 1
                one = enroll(device, slot, interval_s=self._interval_s)
            else:
                if reboots:
                    self._boots[device] += 1
                    self._seqs[device] = 0
                self._seqs[device] = max(1, self._seqs[device] + steps)
                boot, seq = self._boots[device], self._seqs[device]
                body: list[Any] = [0, bytes(32), *([told] if told else [])]
                one = row(device, seq, slot, quoted, boot, holder=holder, body=body, measured=measured)
                if again:
                    one = enroll(device, slot, seq=seq, boot=boot, interval_s=self._interval_s)
            found.setdefault(one.id, one)
        return ordered(list(found.values()))


def everything(executed: Executed) -> list[object]:
    tables = {module.name: module.state for module in MODULES}
    return [
        (encode_delta(one.delta, tables[name]), {table: rows_in(rows) for table, rows in one.records.items()})
        for name, one in executed.effects.items()
    ]


def check(drawn: list[list[tuple[Any, ...]]], interval_s: int, engine: Engine | None, lanes: int) -> None:
    oracle, speakers, state = Oracle(PLACES, interval_s), Speakers(interval_s), MemoryState()
    start = execute(state, frame(0, 0, messages=[grant(1, devices=PLACES)]), Statements.of([]))
    state.advance(0, {name: one.delta for name, one in start.effects.items()}, {})
    first = 1
    for number, one in enumerate(drawn, start=1):
        rows = speakers.rows(first, one)
        at = frame(first, first + 3, number, reward_owner_cap_ppm=1_000_000, reward_vetting_epochs=0)
        executed = execute(state, at, Statements.of(rows), engine, lanes)
        codes = oracle.batch(at, rows)
        effects = executed.effects
        assert effects["identity"].of_statements["code"].tolist() == codes
        for epoch in at.closing:
            presence, measured = oracle.weights(at, epoch)
            assert effects["presence"].findings[epoch] == presence and effects["sensing"].findings[epoch] == measured
        paid = {(pay[0], pay[1]): (pay[3], pay[4]) for pay in rows_in(effects["rewards"].records["payouts"])}
        expected = {
            (epoch, device): amounts for epoch in at.closing for device, amounts in oracle.payouts(at, epoch).items()
        }
        assert paid == expected
        assert sorted(rows_in(effects["notices"].records["told"])) == sorted(oracle.told)
        if lanes == 1 and engine is None:
            alone = everything(executed)
            for count in (2, 7, 64):
                assert everything(execute(state, at, Statements.of(rows), None, count)) == alone
        state.advance(number, {name: done.delta for name, done in effects.items()}, {})
        first += 4
    assert dict(state.get("notices", {}).get("notices", {}).items()) == oracle.notices


@settings(max_examples=150, deadline=None)
@given(batches, intervals)
def test_batches_give_what_the_oracle_says(drawn: list[list[tuple[Any, ...]]], interval_s: int) -> None:
    check(drawn, interval_s, None, 1)


@pytest.fixture(scope="module", params=["threads", "processes", "dask"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with make_engine(request.param, 2) as made:
        yield made


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=batches, interval_s=intervals)
def test_every_engine_gives_it(engine: Engine, drawn: list[list[tuple[Any, ...]]], interval_s: int) -> None:
    check(drawn, interval_s, engine, 7)
