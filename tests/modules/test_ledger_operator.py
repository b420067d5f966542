"""What the operator does to balances, against an oracle of plain sums; no order of messages makes or loses money."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.module import Effects, OwnerRow
from coordinator.kernel.owner_messages import CORRECT, SETTLE, TRANSFER
from coordinator.kernel.postings import (
    CODE_CORRECTION,
    CODE_REWARD,
    CODE_SETTLED,
    CODE_UNEARNED,
    EMISSION,
    NOBODY,
    OWNER,
    SETTLED,
    TREASURY,
    Account,
    Posting,
)
from coordinator.modules import ledger
from device_client.core import cose, verdicts

from .build import Alone, context, device_id, frame, key, said
from .test_ledger import reads

ALICE, BOB = (cose.signer_id(key(name)) for name in ("alice", "bob"))
WHO = {ALICE: "alice", BOB: "bob"}
SOURCE, CHEST = Account(EMISSION, NOBODY), Account(TREASURY, NOBODY)
CLOSED = frame(23, 23)  # epochs 0 and 1 of ten beacons are closed by it, with two beacons of grace


def operator(nonce: int, kind: int, *body: object) -> OwnerRow:
    return said("operator", nonce, kind, *body, is_operator=True)


def batch(module: Alone, *messages: OwnerRow, rewards: Sequence[Posting] = ()) -> Effects:
    found = sorted(messages, key=lambda one: (one.account, one.nonce, one.id))
    return module.batch(CLOSED, [], reads(list(rewards), *found))


def told(effects: Effects, *messages: OwnerRow) -> list[str]:
    return [verdicts.name(effects.findings[one.id]) for one in messages]


def balances(module: Alone) -> dict[Account, int]:
    return {Account(*key): int(row[0]) for key, row in module.state["balances"].items() if row[0]}  # type: ignore[arg-type]


def funded() -> Alone:
    """10 in the treasury, 20 with Alice."""
    module = Alone(ledger.MODULE)
    treasury = Posting(SOURCE, CHEST, 10, CODE_UNEARNED)
    batch(module, rewards=[treasury, Posting(SOURCE, Account(OWNER, ALICE), 20, CODE_REWARD)])
    return module


def test_a_correction_comes_out_of_the_treasury_and_never_more_than_it_holds() -> None:
    module = funded()
    bodies = [(4, 1), (6, 0), (1, 1)]
    messages = [operator(at, CORRECT, BOB, device_id(1), epoch, amount, 1) for at, (amount, epoch) in enumerate(bodies)]
    effects = batch(module, *messages)
    assert told(effects, *messages) == ["ok", "ok", "insufficient_balance"]
    assert balances(module) == {SOURCE: -30, Account(OWNER, ALICE): 20, Account(OWNER, BOB): 10}
    assert effects.records["corrections"] == [
        (BOB, device_id(1), epoch, amount, 1, message.id)
        for (amount, epoch), message in zip(bodies[:2], messages, strict=False)
    ]
    assert [(row[0], row[6]) for row in effects.records["postings"]] == [(2, CODE_CORRECTION)] * 2


@pytest.mark.parametrize(
    ("device", "epoch", "verdict"),
    [(1, 1, "ok"), (1, 2, "bad_epoch"), (1, 2**63 - 1, "bad_epoch"), (2, 1, "unknown_device")],
)
def test_a_correction_is_of_a_device_and_of_an_epoch_that_is_closed(device: int, epoch: int, verdict: str) -> None:
    message = operator(1, CORRECT, BOB, device_id(device), epoch, 1, 1)
    assert told(batch(funded(), message), message) == [verdict]


def test_a_reference_settles_once_for_ever_and_a_refused_one_is_free() -> None:
    module = funded()
    first, again, other = (operator(at, SETTLE, ALICE, 5, key("ref")) for at in (1, 2, 3))
    assert told(batch(module, first, again), first, again) == ["ok", "duplicate"]
    assert told(batch(module, other), other) == ["duplicate"]
    more, enough = operator(4, SETTLE, ALICE, 16, key("ref 2")), operator(5, SETTLE, ALICE, 15, key("ref 2"))
    assert told(batch(module, more, enough), more, enough) == ["insufficient_balance", "ok"]
    assert balances(module) == {SOURCE: -30, CHEST: 10, Account(SETTLED, ALICE): 20}
    assert dict(module.state["settled"].items()) == {(key("ref"),): (ALICE, 5), (key("ref 2"),): (ALICE, 15)}


def test_what_was_paid_outside_is_settled_before_its_owner_sends_it_away() -> None:
    module = funded()
    away, paid = said("alice", 1, TRANSFER, BOB, 20), operator(9, SETTLE, ALICE, 20, key("ref"))
    assert told(batch(module, away, paid), away, paid) == ["insufficient_balance", "ok"]


def test_a_correction_can_be_settled_in_its_batch() -> None:
    module = funded()
    messages = operator(1, CORRECT, BOB, device_id(1), 0, 7, 2), operator(2, SETTLE, BOB, 7, key("ref"))
    effects = batch(module, *messages)
    assert told(effects, *messages) == ["ok", "ok"]
    assert [row[6] for row in effects.records["postings"]] == [CODE_CORRECTION, CODE_SETTLED]


# (kind, who, amount, reference or epoch)
said_ones = st.tuples(
    st.sampled_from([CORRECT, SETTLE, TRANSFER]),
    st.sampled_from([ALICE, BOB]),
    st.integers(1, 40),
    st.integers(0, 3),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.lists(said_ones, max_size=8), st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_money_is_conserved_whatever_is_said(drawn: list[tuple[list[tuple[Any, ...]], int, int]]) -> None:
    module, held, used, nonce = funded(), Counter({SOURCE: -30, CHEST: 10, Account(OWNER, ALICE): 20}), set[int](), 0
    settled = Counter[bytes]()
    for messages, unearned, reward in drawn:
        by_operator, by_owner = [], []
        for kind, who, amount, more in messages:
            nonce += 1
            if kind == TRANSFER:
                to = BOB if who == ALICE else ALICE
                by_owner.append((said(WHO[who], nonce, TRANSFER, to, amount), (who, to, amount)))
            elif kind == SETTLE:
                by_operator.append(
                    (operator(nonce, SETTLE, who, amount, key(f"ref {more}")), (kind, who, amount, more))
                )
            else:
                by_operator.append(
                    (operator(nonce, CORRECT, who, device_id(1), more, amount, 1), (kind, who, amount, more))
                )
        expected = {}
        for message, (kind, who, amount, more) in by_operator:
            source = CHEST if kind == CORRECT else Account(OWNER, who)
            target = Account(OWNER, who) if kind == CORRECT else Account(SETTLED, who)
            code = verdicts.OK
            if kind == CORRECT and more > 1:
                code = verdicts.BAD_EPOCH
            elif kind == SETTLE and more in used:
                code = verdicts.DUPLICATE
            elif held[source] < amount:
                code = verdicts.INSUFFICIENT_BALANCE
            expected[message.id] = code
            if code == verdicts.OK:
                held[source] -= amount
                held[target] += amount
                if kind == SETTLE:
                    used.add(more)
                    settled[who] += amount
        for message, (who, to, amount) in sorted(by_owner, key=lambda one: (one[0].account, one[0].nonce)):
            is_paid = held[Account(OWNER, who)] >= amount
            expected[message.id] = verdicts.OK if is_paid else verdicts.INSUFFICIENT_BALANCE
            if is_paid:
                held[Account(OWNER, who)] -= amount
                held[Account(OWNER, to)] += amount
        rewards = [Posting(SOURCE, CHEST, unearned, CODE_UNEARNED)] if unearned else []
        if reward:
            rewards.append(Posting(SOURCE, Account(OWNER, BOB), reward, CODE_REWARD))
        for posting in rewards:
            held[posting.debit] -= posting.amount
            held[posting.credit] += posting.amount
        effects = batch(module, *(one for one, _ in by_operator), *(one for one, _ in by_owner), rewards=rewards)
        assert effects.findings == expected
        now = balances(module)
        assert now == {account: amount for account, amount in held.items() if amount}
        assert sum(now.values()) == 0 and now.get(CHEST, 0) >= 0
        assert {account.holder: amount for account, amount in now.items() if account.kind == SETTLED} == settled


@pytest.mark.parametrize("table", ["corrections", "settlements"])
@pytest.mark.parametrize("change", ["more", "none", "twice"])
def test_a_record_that_says_something_else_than_the_books_is_a_fault(table: str, change: str) -> None:
    module = funded()
    before = module.state
    messages = operator(1, CORRECT, BOB, device_id(1), 0, 7, 2), operator(2, SETTLE, ALICE, 7, key("ref"))
    effects = batch(module, *messages)
    (row,) = effects.records[table]
    at = 3 if table == "corrections" else 1
    more = (*row[:at], int(row[at]) + 1, *row[at + 1 :])
    changed = {"more": [more], "none": [], "twice": [row, row]}[change]
    with pytest.raises(AssertionError, match="correction" if table == "corrections" else "settle"):
        ledger.MODULE.check(context(before, {}, CLOSED), effects._replace(records={**effects.records, table: changed}))


def test_a_reference_that_was_known_is_a_fault() -> None:
    module = funded()
    effects = batch(module, operator(1, SETTLE, ALICE, 7, key("ref")))
    state = {**funded().state, "settled": {(key("ref"),): (BOB, 1)}}
    with pytest.raises(AssertionError, match="settled before"):
        ledger.MODULE.check(context(state, {}, CLOSED), effects)
