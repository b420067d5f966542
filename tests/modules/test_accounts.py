"""Whose word counts: nonces, keys, and parameters that change two epochs later."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.module import Effects, OwnerRow
from coordinator.modules import accounts
from device_client.core import cose, verdicts

from .build import Alone, frame, grant, key, parameters, said


def in_order(*messages: OwnerRow) -> list[OwnerRow]:
    return sorted(messages, key=lambda one: (one.account, one.nonce, one.id))


def batch(world: Alone, *messages: OwnerRow, slot: int = 0) -> Effects:
    return world.batch(frame(slot, slot, messages=in_order(*messages)))


def verdict(effects: Effects, message: OwnerRow) -> str:
    code = effects.findings.codes.get(message.id)
    return "accepted" if code is None else verdicts.name(code)


def transfer(nonce: int, name: str = "") -> OwnerRow:
    return said("alice", nonce, kinds.TRANSFER, bytes(16), 1, name=name)


def operator(nonce: int, *body: object) -> OwnerRow:
    return said("operator", nonce, kinds.PARAMETER, *body, is_operator=True)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(1, 12), max_size=6), max_size=6))
def test_a_nonce_is_good_once_and_only_upwards(batches: list[list[int]]) -> None:
    world, highest = Alone(accounts.MODULE), 0
    for number, nonces in enumerate(batches):
        messages = in_order(*(transfer(nonce, f"{number} {at}") for at, nonce in enumerate(nonces)))
        effects = batch(world, *messages)
        for message in messages:
            expected = "accepted" if message.nonce > highest else "bad_nonce"
            assert verdict(effects, message) == expected
            highest = max(highest, message.nonce)
    held = world.state.get("accounts", {}).get((cose.signer_id(key("alice")),))
    assert held == ((key("alice"), highest) if highest else None)


def test_only_the_operator_grants_tokens_and_changes_parameters() -> None:
    world = Alone(accounts.MODULE)
    forged = grant(1)._replace(account=cose.signer_id(key("alice")), is_operator=False, id=key("forged"))
    wished = said("alice", 2, kinds.PARAMETER, "reward_budget", 1)
    real = grant(1)
    effects = batch(world, forged, wished, real)
    assert [verdict(effects, one) for one in (forged, wished, real)] == ["not_allowed", "not_allowed", "accepted"]
    assert effects.findings.accepted == {kinds.TOKEN: [real]}
    # The token names its owner's key: that account may speak without bringing it.
    assert world.state["accounts"][(cose.signer_id(key("owner")),)] == (key("owner"), 0)


def test_a_new_key_stands_for_the_account_and_a_token_does_not_bring_the_old_one_back() -> None:
    world = Alone(accounts.MODULE)
    rotated = said("owner", 5, kinds.KEY, key("new"), bytes(64))
    assert verdict(batch(world, rotated, grant(1)), rotated) == "ok"
    assert world.state["accounts"][(cose.signer_id(key("owner")),)] == (key("new"), 5)
    batch(world, grant(2, token="second"))
    assert world.state["accounts"][(cose.signer_id(key("owner")),)] == (key("new"), 5)
    of_operator = said("operator", 9, kinds.KEY, key("new"), bytes(64), is_operator=True)
    assert verdict(batch(world, of_operator), of_operator) == "not_allowed"


def test_an_unknown_kind_spends_its_nonce() -> None:
    world = Alone(accounts.MODULE)
    odd = said("alice", 3, 99)
    assert verdict(batch(world, odd), odd) == "unsupported_kind"
    again = transfer(3)
    assert verdict(batch(world, again), again) == "bad_nonce"


def test_a_parameter_changes_two_epochs_later_and_pays_no_epoch_that_began_before() -> None:
    world, genesis = Alone(accounts.MODULE), parameters(deadline_beacons=2)
    change = operator(1, "reward_budget", 5)
    assert verdict(batch(world, change, slot=19), change) == "ok"  # epochs of ten slots
    # Epoch 3 begins with slot 30; epoch 2 is closed, and paid, by the batch of slot 31.
    budgets = [accounts.in_force(genesis, world.state, slot).integer("reward_budget") for slot in (20, 30, 31, 32)]
    assert budgets == [genesis.integer("reward_budget")] * 3 + [5]
    assert 31 in [slot for slot in range(40) if genesis.calendar.closing(slot, slot) == range(2, 3)]
    assert accounts.in_force(genesis, world.state, 32).digest != genesis.digest


def test_the_later_of_two_changes_for_one_epoch_counts() -> None:
    world, genesis = Alone(accounts.MODULE), parameters()
    units = [["Cel", 0, 1, 0, 0]]
    batch(world, operator(1, "reward_budget", 5), operator(2, "sensing_units", units))
    batch(world, operator(3, "reward_budget", 6), slot=1)
    batch(world, operator(4, "reward_budget", 7), slot=10)
    found = [accounts.in_force(genesis, world.state, slot).integer("reward_budget") for slot in (22, 32)]
    assert found == [6, 7]
    assert accounts.in_force(genesis, world.state, 22).units("sensing_units") == {"Cel": ("Cel", 0, 1, 0, 0)}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(["no_such", 1], id="unknown"),
        pytest.param(["reward_owner_cap_ppm", 0], id="below its range"),
        pytest.param(["reward_budget", [["Cel", 0, 1, 0, 0]]], id="units for a number"),
        pytest.param(["sensing_units", 3], id="a number for units"),
        pytest.param(["sensing_units", [["Cel", 1, 0, 0, 0]]], id="minimum above maximum"),
        pytest.param(["epoch_beacons", 20], id="time is fixed"),
    ],
)
def test_a_bad_parameter_is_refused(body: list[object]) -> None:
    world = Alone(accounts.MODULE)
    change = operator(1, *body)
    assert verdict(batch(world, change), change) == "bad_parameter"
    assert "changes" not in world.state
