"""The books against a naive sum."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.amounts import AMOUNT_MAX
from coordinator.kernel.module import Effects, ModuleView, OwnerRow
from coordinator.kernel.owner_messages import TRANSFER
from coordinator.kernel.postings import (
    CODE_RELEASED,
    CODE_REWARD,
    CODE_TRANSFER,
    EMISSION,
    NOBODY,
    OWNER,
    WITHHELD,
    Account,
    Posting,
)
from coordinator.modules import ledger
from device_client.core import cose, verdicts

from .build import Alone, accepted_view, context, device_id, device_row, findings_view, frame, key, said

SOURCE = Account(EMISSION, NOBODY)


def account(kind: int, index: int) -> Account:
    return Account(kind, index.to_bytes(16, "big"))


DEVICES = ModuleView({}, {"devices": {(device_id(1),): device_row(1)}}, None, {})


def reads(postings: tuple[Posting, ...] | list[Posting], *messages: OwnerRow) -> dict[str, ModuleView]:
    """What the ledger reads: messages, one enrolled device, and the postings of the rewards."""
    rewards = findings_view([(0, posting) for posting in postings])
    return {"accounts": accepted_view(*messages), "identity": DEVICES, "rewards": rewards}


def post(module: Alone, *postings: Posting) -> Effects:
    return module.batch(frame(0, 0), [], reads(postings))


issued = st.builds(
    Posting,
    debit=st.just(SOURCE),
    credit=st.builds(account, st.sampled_from([OWNER, WITHHELD]), st.integers(0, 3)),
    amount=st.integers(1, 10**12),
    code=st.just(CODE_REWARD),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(issued, max_size=8), max_size=5), st.data())
def test_balances_equal_a_naive_sum(batches: list[list[Posting]], data: st.DataObject) -> None:
    module, expected = Alone(ledger.MODULE), Counter[Account]()
    for batch in batches:
        postings = list(batch)
        for posting in batch:
            expected[posting.debit] -= posting.amount
            expected[posting.credit] += posting.amount
            if posting.credit.kind == WITHHELD and data.draw(st.booleans()):
                amount = data.draw(st.integers(1, expected[posting.credit]))
                to = account(OWNER, data.draw(st.integers(0, 3)))
                postings.append(Posting(posting.credit, to, amount, CODE_RELEASED))
                expected[posting.credit] -= amount
                expected[to] += amount
        effects = post(module, *postings)
        rows = [(0, *posting.debit, *posting.credit, posting.amount, posting.code) for posting in postings]
        assert effects.records["postings"] == rows
    balances = {Account(*key): row[0] for key, row in module.state.get("balances", {}).items()}  # type: ignore[arg-type]
    assert balances == dict(expected)
    assert sum(balances.values()) == 0  # type: ignore[arg-type]


def test_an_overdraft_is_a_fault() -> None:
    module = Alone(ledger.MODULE)
    post(module, Posting(SOURCE, account(WITHHELD, 1), 5, CODE_REWARD))
    post(module, Posting(account(WITHHELD, 1), account(OWNER, 1), 5, CODE_RELEASED))
    with pytest.raises(AssertionError, match="is overdrawn"):
        post(module, Posting(account(WITHHELD, 1), account(OWNER, 1), 1, CODE_RELEASED))


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1])
def test_an_amount_is_positive_and_fits(amount: int) -> None:
    with pytest.raises(AssertionError, match="posting of"):
        post(Alone(ledger.MODULE), Posting(SOURCE, account(OWNER, 1), amount, CODE_REWARD))


def test_a_balance_beyond_64_bits_is_a_fault() -> None:
    module = Alone(ledger.MODULE)
    post(module, Posting(SOURCE, account(OWNER, 1), AMOUNT_MAX, CODE_REWARD))
    with pytest.raises(AssertionError, match="beyond 64 bits"):
        post(module, Posting(SOURCE, account(OWNER, 2), 1, CODE_REWARD))


def test_a_tampered_balance_is_a_fault() -> None:
    module = Alone(ledger.MODULE)
    effects = post(module, Posting(SOURCE, account(OWNER, 1), 5, CODE_REWARD))
    delta = {"balances": {**effects.delta["balances"], account(OWNER, 1): (6,)}}
    with pytest.raises(AssertionError, match="debits and credits differ"):
        ledger.MODULE.check(context({}, {}, frame(0, 0)), effects._replace(delta=delta))


def test_transfers_come_before_the_rewards_and_what_cannot_be_paid_moves_nothing() -> None:
    module = Alone(ledger.MODULE)
    alice, bob = cose.signer_id(key("alice")), cose.signer_id(key("bob"))
    post(module, Posting(SOURCE, Account(OWNER, alice), 10, CODE_REWARD))
    messages = [
        said("alice", 1, TRANSFER, bob, 11),
        said("alice", 2, TRANSFER, bob, 10),
        said("alice", 3, TRANSFER, alice, 1),
        said("bob", 1, TRANSFER, alice, 4),
    ]
    messages.sort(key=lambda one: (one.account, one.nonce))
    reward = Posting(SOURCE, Account(OWNER, alice), 7, CODE_REWARD)
    effects = module.batch(frame(0, 0), [], reads([reward], *messages))
    told = {(one.account, one.nonce): verdicts.name(effects.findings[one.id]) for one in messages}
    # Bob's turn is before or after Alice's, by the order of the accounts.
    in_time = alice < bob
    assert told == {
        (alice, 1): "insufficient_balance",
        (alice, 2): "ok",
        (alice, 3): "insufficient_balance",
        (bob, 1): "ok" if in_time else "insufficient_balance",
    }
    balances = {key[1]: row[0] for key, row in module.state["balances"].items() if key[0] == OWNER}
    assert balances == ({alice: 4 + 7, bob: 6} if in_time else {alice: 7, bob: 10})
    assert [row[6] for row in effects.records["postings"]] == [CODE_TRANSFER] * (1 + in_time) + [CODE_REWARD]
