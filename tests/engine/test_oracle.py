"""Whole batches against an oracle that knows no columns, on every engine, whatever the lanes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.engine.choice import make_engine
from coordinator.engine.engines import Engine
from coordinator.engine.execute import Executed, execute
from coordinator.engine.state import MemoryState
from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import Frame, OwnerRow
from coordinator.kernel.postings import EMISSION, OWNER, SETTLED, TREASURY
from coordinator.kernel.statements import StatementRow, Statements
from coordinator.kernel.tables import encode_delta, rows_in
from coordinator.modules import MODULES, sensing
from device_client.core import cose
from tests.modules.build import OPERATOR, device_id, enroll, frame, grant, key, ordered, row

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
# What operator and owner say: (kind, device or reference, epochs ahead or an epoch, reason or thousandths of a budget)
words = st.tuples(
    st.sampled_from([kinds.QUARANTINE] * 3 + [kinds.LIFT, kinds.APPEAL, kinds.CORRECT, kinds.SETTLE]),
    st.integers(0, 6),
    st.integers(-1, 3),
    st.integers(1, 4),
)
batches = st.lists(st.tuples(st.lists(said, max_size=25), st.lists(words, max_size=4)), min_size=1, max_size=8)
Drawn = list[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]
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


def messages_of(drawn: list[tuple[Any, ...]], first_nonce: int, at: Frame) -> list[OwnerRow]:
    """The messages in canonical order: the operator's account is the smallest."""
    owner, epoch, found = key("owner"), at.last_slot // EPOCH, []
    budget = at.parameters.integer("reward_budget")
    for nonce, (kind, which, ahead, reason) in enumerate(drawn, start=first_nonce):
        evidence, device, amount = key(f"text {which}"), device_id(which), budget * reason // 1000
        body: list[Any] = {
            kinds.QUARANTINE: [device, reason, evidence, max(0, epoch + ahead)],
            kinds.LIFT: [device, reason, evidence],
            kinds.APPEAL: [device, evidence],
            kinds.CORRECT: [cose.signer_id(owner), device, max(0, epoch - 1 - ahead), amount, reason],
            kinds.SETTLE: [cose.signer_id(owner), amount, evidence],
        }[kind]
        of_owner = kind == kinds.APPEAL
        account = cose.signer_id(owner) if of_owner else OPERATOR
        message = OwnerRow(account, nonce, kind, body, key(f"message {nonce}"), owner, not of_owner)
        found.append(message)
    return sorted(found, key=lambda one: (one.account, one.nonce))


def verdicts_expected(oracle: Oracle, at: Frame, messages: list[OwnerRow]) -> dict[bytes, int]:
    """Money first, then what is of devices."""
    in_order = sorted(messages, key=lambda one: one.kind not in kinds.MONEY_KINDS)
    return {one.id: oracle.say(at, one) for one in in_order}


def balances(state: MemoryState) -> dict[int, int]:
    """By kind of account, and no kind but the emission below zero."""
    sums = Counter[int]()
    for (kind, _), (balance,) in state.get("ledger", {}).get("balances", {}).items():
        assert int(balance) >= 0 or kind == EMISSION
        sums[int(kind)] += int(balance)
    assert sums.total() == 0
    return sums


def everything(executed: Executed) -> list[object]:
    tables = {module.name: module.state for module in MODULES}
    return [
        (encode_delta(one.delta, tables[name]), {table: rows_in(rows) for table, rows in one.records.items()})
        for name, one in executed.effects.items()
    ]


def check(drawn: Drawn, interval_s: int, engine: Engine | None, lanes: int) -> None:
    oracle, speakers, state = Oracle(PLACES, interval_s), Speakers(interval_s), MemoryState()
    start = execute(state, frame(0, 0, messages=[grant(1, devices=PLACES)]), Statements.of([]))
    state.advance(0, {name: one.delta for name, one in start.effects.items()}, {})
    first = 1
    values = {"reward_owner_cap_ppm": 1_000_000, "reward_withheld_ppm": 0, "quarantine_epochs_max": 3}
    for number, (one, spoken) in enumerate(drawn, start=1):
        rows = speakers.rows(first, one)
        at = frame(first, first + 3, number, **values)
        messages = messages_of(spoken, 10 * number, at)
        at = at._replace(owner_messages=messages)
        executed = execute(state, at, Statements.of(rows), engine, lanes)
        codes = oracle.batch(at, rows)
        effects = executed.effects
        assert effects["identity"].of_statements["code"].tolist() == codes
        told = {one[3]: one[4] for one in rows_in(effects["messages"].records["owner_verdicts"])}
        assert told == verdicts_expected(oracle, at, messages)
        oracle.end(at)
        for epoch in at.closing:
            presence, measured = oracle.weights(at, epoch)
            assert effects["presence"].findings[epoch] == presence and effects["sensing"].findings[epoch] == measured
        paid = {(pay[0], pay[1]): (pay[3], pay[4]) for pay in rows_in(effects["rewards"].records["payouts"])}
        expected = {
            (epoch, device): amounts for epoch in at.closing for device, amounts in oracle.payouts(at, epoch).items()
        }
        assert paid == expected
        for epoch in at.closing:
            oracle.pay(at, sum(sum(amounts) for (of, _), amounts in expected.items() if of == epoch))
        assert sorted(rows_in(effects["notices"].records["told"])) == sorted(oracle.told)
        if lanes == 1 and engine is None:
            alone = everything(executed)
            for count in (2, 7, 64):
                assert everything(execute(state, at, Statements.of(rows), None, count)) == alone
        state.advance(number, {name: done.delta for name, done in effects.items()}, {})
        sums = balances(state)
        assert (sums[TREASURY], sums[OWNER], sums[SETTLED]) == (oracle.treasury, oracle.owned, oracle.settled)
        first += 4
    assert dict(state.get("notices", {}).get("notices", {}).items()) == oracle.notices


@settings(max_examples=150, deadline=None)
@given(batches, intervals)
def test_batches_give_what_the_oracle_says(drawn: Drawn, interval_s: int) -> None:
    check(drawn, interval_s, None, 1)


@pytest.fixture(scope="module", params=["threads", "processes", "dask"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with make_engine(request.param, 2) as made:
        yield made


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=batches, interval_s=intervals)
def test_every_engine_gives_it(engine: Engine, drawn: Drawn, interval_s: int) -> None:
    check(drawn, interval_s, engine, 7)
