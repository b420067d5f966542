"""What an owner was told while an epoch was open, held against what the closed epoch then paid."""

import asyncio

import pytest

from coordinator.kernel.amounts import PPM
from coordinator.kernel.earnings_views import EarningsView
from coordinator.kernel.views import OwnerEpochView
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import driven

EPOCH = 6
VALUES = {
    "epoch_beacons": EPOCH,
    "deadline_beacons": 1,
    "late_beacons_max": 4,
    "reward_vetting_epochs": 2,
    "reward_owner_cap_ppm": PPM * 45 // 100,
}
OWNERS = {"ann": 3, "bob": 2, "cy": 2}
EPOCHS = 5
QUIET = 4  # the epoch in which cy's devices fall silent
Told = dict[tuple[str, int], EarningsView]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, dict[tuple[str, int], OwnerEpochView]]:
    """By owner and beacon, what was estimated; by owner and epoch, what was paid. ann2 is up two thirds of the time."""
    net = Net(tmp_path_factory.mktemp("net") / "net", VALUES)
    tokens = {name: net.token(owner=name.encode().ljust(32)) for name in OWNERS}
    hands = {f"{name}{i}": Hand(net.given(tokens[name])) for name, n in OWNERS.items() for i in range(n)}
    estimates: Told = {}
    paid: dict[tuple[str, int], OwnerEpochView] = {}

    async def run() -> None:
        async with driven(net) as at:
            queries = at.service.queries
            await at.beacons()
            for hand in hands.values():
                await at.enrol(hand)
            for beacon in range(1, EPOCHS * EPOCH + 3):
                await at.beacons()
                for name, hand in hands.items():
                    away = name == "ann2" and beacon % 3 == 0
                    silent = name.startswith("cy") and beacon // EPOCH == QUIET
                    if not away and not silent:
                        await at.submit(hand.report(at.beacon))
                for name, token in tokens.items():
                    view = await queries.earnings(token.owner)
                    assert view is not None
                    estimates[name, beacon] = view
            for name, token in tokens.items():
                for row in await queries.owner_epochs(token.owner, None, 100):
                    paid[name, row.epoch] = row

    asyncio.run(run())
    return estimates, paid


def test_the_estimate_is_what_was_then_paid(told: tuple[Told, dict[tuple[str, int], OwnerEpochView]]) -> None:
    """Where everybody goes on as before, to a base unit a device and pool."""
    estimates, paid = told
    for name, devices in OWNERS.items():
        for epoch in range(2, QUIET):
            for beacon in range(epoch * EPOCH + 3, (epoch + 1) * EPOCH + 1):
                (estimate,) = [one for one in estimates[name, beacon].estimates if one.epoch == epoch]
                really = paid[name, epoch]
                if name == "ann" and (beacon - epoch * EPOCH) % 3:
                    continue  # a third away: only whole thirds say how it goes on
                assert abs(estimate.whole - really.paid) <= 2 * devices, (name, epoch, beacon)
                assert abs(estimate.presence - really.presence) <= devices
                assert estimate.so_far <= estimate.whole
            end = estimates[name, (epoch + 1) * EPOCH].estimates[0]
            assert end.epoch == epoch and abs(end.so_far - really.paid) <= 2 * devices
            assert abs(end.withheld - really.withheld) <= devices


def test_it_is_wrong_by_what_the_others_do_otherwise(
    told: tuple[Told, dict[tuple[str, int], OwnerEpochView]],
) -> None:
    estimates, paid = told
    end = estimates["bob", (QUIET + 1) * EPOCH].estimates[0]
    assert end.epoch == QUIET and end.whole < paid["bob", QUIET].paid
    assert paid["bob", QUIET].paid - end.whole < paid["bob", QUIET].paid * 2 // 5  # two of seven devices are gone
    assert estimates["cy", (QUIET + 1) * EPOCH].estimates[0].whole < paid["cy", QUIET - 1].paid // 2


def test_lifetime_balance_and_silence(told: tuple[Told, dict[tuple[str, int], OwnerEpochView]]) -> None:
    estimates, paid = told
    last = EPOCHS * EPOCH + 2
    for name in OWNERS:
        view = estimates[name, last]
        rows = [row for (owner, _), row in paid.items() if owner == name]
        assert view.lifetime.paid == view.owner.paid == sum(row.paid for row in rows)
        assert view.lifetime.credited == view.owner.balance and (view.moved, view.settled) == (0, 0)
        assert view.epoch == EPOCHS - 1
        assert view.month is not None and view.month.last_epoch == view.epoch
    quiet = [estimates["cy", beacon] for beacon in range(QUIET * EPOCH + 2, (QUIET + 1) * EPOCH)]
    assert [view.silent for view in quiet] == sorted(view.silent for view in quiet)
    assert quiet[-1].silent == 2 and quiet[-1].devices[0].silent and estimates["cy", last].silent == 0
    before = estimates["ann", 3]
    assert (before.epoch, before.estimates, before.month) == (-1, [], None)


def test_who_earned_nothing_is_told_why(told: tuple[Told, dict[tuple[str, int], OwnerEpochView]]) -> None:
    estimates, _ = told
    view = estimates["cy", EPOCHS * EPOCH + 2]
    assert view.unpaid == 2
    assert all(one.why is not None and one.why.code == "absent" and one.paid == 0 for one in view.devices)
    assert estimates["ann", EPOCHS * EPOCH + 2].unpaid == 0
