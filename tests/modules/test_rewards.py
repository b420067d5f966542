"""From weights to money, against fractions: nothing is lost, nobody earns beyond a cap."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.amounts import TOKEN
from coordinator.kernel.module import Effects, ModuleView
from coordinator.kernel.postings import EMISSION, OWNER, TREASURY, WITHHELD
from coordinator.modules import identity, rewards

from .build import Alone, context, device_id, device_row, findings_view, frame, identity_view

PPM = 1_000_000
Weights = Mapping[int, tuple[int, int]]  # device -> presence, sensing


def owner(index: int) -> bytes:
    return index.to_bytes(16, "big")


def reads_of(epoch: int, weights: Weights, devices: Mapping[int, Any]) -> dict[str, ModuleView]:
    present = {device_id(index): pair[0] for index, pair in weights.items()}
    measured = {device_id(index): pair[1] for index, pair in weights.items()}
    return {
        "identity": identity_view(devices, {}),
        "presence": findings_view({epoch: present}),
        "sensing": findings_view({epoch: measured}),
    }


def close(module: Alone, epoch: int, weights: Weights, devices: Mapping[int, Any], **values: int) -> Effects:
    """The batch that closes one epoch (ten slots each, deadline two)."""
    at = frame(epoch * 10 + 2, epoch * 10 + 11, **values)
    assert list(at.closing) == [epoch]
    return module.batch(at, [], reads_of(epoch, weights, devices))


def earned(pool: int, weights: dict[int, int]) -> dict[int, Fraction]:
    total = sum(weights.values())
    return {index: Fraction(pool * weight, total) if total else Fraction(0) for index, weight in weights.items()}


shares = st.integers(0, PPM) | st.just(0)
all_weights = st.dictionaries(st.integers(0, 9), st.tuples(shares, shares), max_size=10)


@settings(max_examples=200, deadline=None)
@given(
    all_weights,
    st.sets(st.integers(0, 9), max_size=3),
    st.integers(0, 10**15) | st.integers(0, 50),
    st.integers(0, PPM),
    st.integers(1, PPM),
)
def test_every_epoch_sums_to_its_emission(
    weights: Weights, quarantined: set[int], budget: int, presence_ppm: int, cap_ppm: int
) -> None:
    devices = {i: device_row(i, owner(i % 3), standing=int(i in quarantined)) for i in range(10)}
    values = {"reward_budget": budget, "reward_presence_ppm": presence_ppm, "reward_owner_cap_ppm": cap_ppm}
    effects = close(Alone(rewards.MODULE), 9, weights, devices, **values)
    ((epoch, emission, paid, treasury, payees),) = effects.records["epochs"]
    payouts = {int.from_bytes(one[1], "big"): one for one in effects.records["payouts"]}  # type: ignore[arg-type]
    assert (epoch, emission) == (9, budget)
    assert paid + treasury == budget  # type: ignore[operator]
    assert paid == sum(one[6] for one in payouts.values())  # type: ignore[misc]
    assert payees == sum(1 for one in payouts.values() if one[6])
    assert sum(p.amount for _, p in effects.findings if p.debit.kind == EMISSION) == budget
    # Each part is its fraction of the pool, less than a unit off; the quarantined weigh nothing.
    good = {i: pair if i not in quarantined else (0, 0) for i, pair in weights.items()}
    pool = budget * presence_ppm // PPM
    for part, column, share in ((0, 3, pool), (1, 4, budget - pool)):
        expected = earned(share, {i: pair[part] for i, pair in good.items()})
        for index, amount in expected.items():
            assert abs(payouts[index][column] - amount) < 1  # type: ignore[operator]
    for index in quarantined & payouts.keys():
        assert payouts[index][3:9] == (0,) * 6
    # No owner earns a unit more than the cap, and one that was cut earns exactly the cap.
    cap = budget * cap_ppm // PPM
    capped = {row[1] for row in effects.records["caps"]}
    for index in range(3):
        sums = [one for one in payouts.values() if one[2] == owner(index)]
        total, gross = sum(one[6] for one in sums), sum(one[3] + one[4] for one in sums)  # type: ignore[misc, operator]
        assert total == min(cap, gross)
        assert (owner(index) in capped) == (gross > cap)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.integers(0, PPM), st.lists(st.booleans(), min_size=9, max_size=9), st.integers(0, 5))
def test_what_is_withheld_is_released_when_vetting_ends(
    vetting: int, withheld_ppm: int, there: list[bool], joined: int
) -> None:
    module, kept, given_back = Alone(rewards.MODULE), 0, 0
    devices = {1: device_row(1, owner(1), enrolled_slot=joined * 10 + 3)}
    values = {
        "reward_vetting_epochs": vetting,
        "reward_withheld_ppm": withheld_ppm,
        "reward_budget": 1001,
        "reward_owner_cap_ppm": PPM,
    }
    for epoch in range(joined, 9):
        weights = {1: (PPM, PPM)} if there[epoch] else {}
        effects = close(module, epoch, weights, devices, **values)
        for one in effects.records["payouts"]:
            in_vetting = epoch < joined + vetting
            assert one[7] == (1001 * withheld_ppm // PPM if in_vetting else 0)
            assert one[8] == (0 if in_vetting else kept - given_back)
            kept, given_back = kept + one[7], given_back + one[8]  # type: ignore[operator]
    held = module.state["withheld"].get((device_id(1),), (0,))[0]
    assert held == kept - given_back


def test_what_was_withheld_from_a_quarantined_device_stays_withheld() -> None:
    module = Alone(rewards.MODULE)
    values = {"reward_vetting_epochs": 1, "reward_withheld_ppm": 500_000, "reward_budget": 1000}
    values["reward_owner_cap_ppm"] = PPM
    first = close(module, 0, {1: (PPM, PPM)}, {1: device_row(1, owner(1))}, **values)
    assert first.records["payouts"][0][6:9] == (1000, 500, 0)
    jailed = close(module, 1, {1: (PPM, PPM)}, {1: device_row(1, owner(1), standing=1)}, **values)
    assert jailed.records["payouts"][0][3:9] == (0, 0, 0, 0, 0, 0)
    assert module.state["withheld"] == {(device_id(1),): (500,)}
    # The earlier payout stands: nothing was posted back.
    assert [(p.debit.kind, p.credit.kind, p.amount) for _, p in jailed.findings] == [(EMISSION, TREASURY, 1000)]


def test_postings_say_where_the_money_went() -> None:
    values = {"reward_budget": 1000, "reward_owner_cap_ppm": 300_000, "reward_withheld_ppm": 500_000}
    devices = {1: device_row(1, owner(1)), 2: device_row(2, owner(2))}
    effects = close(Alone(rewards.MODULE), 0, {1: (3, 3), 2: (1, 1)}, devices, **values)
    found = {(p.debit.kind, p.credit.kind, p.credit.holder, p.amount) for _, p in effects.findings}
    assert found == {
        (EMISSION, TREASURY, bytes(16), 450),  # beyond the first owner's cap of 300
        (EMISSION, OWNER, owner(1), 150),
        (EMISSION, WITHHELD, device_id(1), 150),
        (EMISSION, OWNER, owner(2), 125),
        (EMISSION, WITHHELD, device_id(2), 125),
    }


@pytest.mark.parametrize(
    ("epoch", "halving", "emission"),
    [(0, 0, 1000), (10**9, 0, 1000), (3, 4, 1000), (4, 4, 500), (7, 4, 500), (8, 4, 250), (40, 4, 0), (10**9, 1, 0)],
)
def test_halving(epoch: int, halving: int, emission: int) -> None:
    assert rewards.emission_of(epoch, 1000, halving) == emission


def test_invariants_see_what_they_forbid() -> None:
    devices = {1: device_row(1, owner(1))}
    module = Alone(rewards.MODULE)
    effects = close(module, 0, {1: (PPM, PPM)}, devices)
    at_end = context({}, reads_of(0, {1: (PPM, PPM)}, devices), frame(2, 11))
    rewards.MODULE.check(at_end, effects)
    payout, epoch = effects.records["payouts"][0], effects.records["epochs"][0]
    for column in range(3, 7):
        changed = [*payout[:column], payout[column] + 1, *payout[column + 1 :]]  # type: ignore[operator]
        with pytest.raises(AssertionError, match="parts of"):
            rewards.MODULE.check(at_end, effects._replace(records={**effects.records, "payouts": [tuple(changed)]}))
    bad = (*payout[:8], -1, *payout[9:])
    with pytest.raises(AssertionError, match="payout of"):
        rewards.MODULE.check(at_end, effects._replace(records={**effects.records, "payouts": [bad]}))
    for column in (1, 2, 3):
        changed = [*epoch[:column], epoch[column] + 1, *epoch[column + 1 :]]  # type: ignore[operator]
        with pytest.raises(AssertionError, match="does not sum"):
            rewards.MODULE.check(at_end, effects._replace(records={**effects.records, "epochs": [tuple(changed)]}))
    with pytest.raises(AssertionError, match="does not sum"):
        rewards.MODULE.check(at_end, effects._replace(findings=effects.findings[1:]))


def test_who_was_in_quarantine_until_the_epochs_end_earns_nothing_in_it_although_it_is_back() -> None:
    """The epoch closes two slots behind its end, and what was withheld waits for the next one."""
    weights = {1: (PPM, PPM), 2: (PPM, PPM)}
    reads = reads_of(9, weights, {1: device_row(1, owner(1)), 2: device_row(2, owner(2))})
    suspended = identity.Findings(suspended={9: frozenset([device_id(1)])})
    reads["identity"] = reads["identity"]._replace(findings=suspended)
    module = Alone(rewards.MODULE)
    module.state = {"withheld": {(device_id(1),): (5,)}}
    effects = module.batch(frame(92, 101, reward_owner_cap_ppm=PPM), [], reads)
    paid = {row[1]: (row[6], row[8]) for row in effects.records["payouts"]}
    assert paid == {device_id(1): (0, 0), device_id(2): (1_000 * TOKEN, 0)}
    reads = reads_of(10, weights, {1: device_row(1, owner(1)), 2: device_row(2, owner(2))})
    effects = module.batch(frame(102, 111, reward_owner_cap_ppm=PPM), [], reads)
    assert {row[1]: (row[6], row[8]) for row in effects.records["payouts"]}[device_id(1)] == (500 * TOKEN, 5)
