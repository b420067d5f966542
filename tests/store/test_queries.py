"""Every total that a page can show equals a sum over the published folders, made here without SQL and without rules."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine.packing import REFUSALS
from coordinator.kernel.amounts import PPM
from coordinator.store.queries import Queries
from device_client.core import cose, verdicts
from tests.e2e.published import records
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import Driven, driven

EPOCH = 4
VALUES = {"epoch_beacons": EPOCH, "deadline_beacons": 1, "late_beacons_max": 4, "reward_owner_cap_ppm": PPM * 2 // 5}
TOLD = {
    ("north0", 2): [[2, 5], [16, 1]],
    ("north0", EPOCH): [[2, 5]],
    ("north0", EPOCH + 1): [[2, 1218]],
    ("north0", 2 * EPOCH + 1): [[16, 0], [60, 7]],
    ("south0", 1): [[1, 3]],
}
OWNERS = {"north": 3, "south": 2, "west": 1}


class World:
    """Six devices of three owners over five epochs: gaps, silence, a copied key, and nonsense."""

    def __init__(self, folder: Path) -> None:
        self.net = Net(folder / "net", VALUES)
        tokens = {name: self.net.token(owner=name.encode().ljust(32)) for name in OWNERS}
        self.hands = {f"{name}{i}": Hand(self.net.given(tokens[name])) for name, n in OWNERS.items() for i in range(n)}
        self.owner = {hand.id: tokens[name[:-1]].owner for name, hand in self.hands.items()}
        self.refused = 0

    async def live(self, at: Driven) -> None:
        await at.beacons()
        for hand in self.hands.values():
            await at.enrol(hand)
        for beacon in range(5 * EPOCH + 2):
            await at.beacons()
            for name, hand in self.hands.items():
                await self.speak(at, beacon, name, hand)
        await at.beacons(2)

    async def speak(self, at: Driven, beacon: int, name: str, hand: Hand) -> None:
        if name == "north1" and beacon % 3 == 0:
            hand.report(at.beacon)  # signed and never sent
        elif name == "south1" and beacon > 2 * EPOCH:
            return
        elif name == "west0" and beacon == 3 * EPOCH:
            copy = Hand(hand.given)
            copy.id, copy.key, copy.seq, copy.last_id = hand.id, hand.key, hand.seq, hand.last_id
            await at.submit(copy.report(at.beacon, [1]))
            await at.submit(hand.report(at.beacon))
        elif name == "north2" and beacon % 5 == 4:
            answer = await at.submit(hand.signed(hand.said(77, [], at.beacon)))
            assert answer.code == verdicts.UNSUPPORTED_KIND
            self.refused += 1
        else:
            await at.submit(hand.report(at.beacon, told=TOLD.get((name, beacon))))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, dict[str, Any]]:
    """The world, and everything that was asked of it."""
    world = World(tmp_path_factory.mktemp("world"))

    async def run() -> dict[str, Any]:
        async with driven(world.net) as at:
            await world.live(at)
            return await everything(world, at.service.queries)

    return world, asyncio.run(run())


async def everything(world: World, queries: Queries) -> dict[str, Any]:
    ids = sorted(hand.id for hand in world.hands.values())
    owners = sorted(set(world.owner.values()))
    epochs = await queries.epochs(None, 100)
    return {
        "network": await queries.network(),
        "devices": await queries.devices(b"", 100),
        "pages": [await queries.devices(after, 1) for after in (b"", *ids)],
        "device": {device: await queries.device(device) for device in ids},
        "device_payouts": {device: await queries.device_payouts(device, 100) for device in ids},
        "presence": {device: await queries.device_presence(device, 100) for device in ids},
        "readings": {device: await queries.readings(device, -1, 1000) for device in ids},
        "owner": {owner: await queries.owner(owner) for owner in owners},
        "owners": await queries.owners(100),
        "owner_epochs": {owner: await queries.owner_epochs(owner, None, 100) for owner in owners},
        "epochs": epochs,
        "payouts": {epoch.number: await queries.payouts(epoch.number, b"", 100) for epoch in epochs},
        "explained": {
            (view.device, epoch.number): await queries.explain(view, epoch.number)
            for view in await queries.devices(b"", 100)
            for epoch in epochs
        },
        "uptime": {
            (before, missed): await queries.uptime(b"", before, 3, 100, missed)
            for before in (None, 2, 0)
            for missed in (False, True)
        },
        "uptime by one": [
            await queries.uptime(after, None, 9, 1, missed) for after in (b"", *ids) for missed in (0, 1)
        ],
        "days": (await queries.days(None, 9), await queries.days(3, 9), await queries.days(0, 9)),
        "nobody": (await queries.device(bytes(16)), await queries.owner(bytes(16)), await queries.epoch(10**9)),
    }


def total(rows: list[dict[str, Any]], column: str, keep: Callable[[dict[str, Any]], bool] = lambda row: True) -> int:
    return sum(row[column] for row in rows if keep(row))


def test_the_network(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    view, home = said["network"], world.net.home
    epochs, given = records(home, "epochs"), records(home, "verdicts")
    assert view.paid == total(epochs, "paid") > 0 and view.treasury == total(epochs, "treasury") > 0
    assert view.paid + view.treasury == total(epochs, "emission")
    assert view.statements == sum(1 for row in given if row["code"] in (verdicts.OK, verdicts.LATE))
    assert (view.devices, view.owners) == (6, 3)
    assert view.quarantined == len(records(home, "quarantines")) == 1
    assert view.batches == len(list(home.batches.iterdir())) == view.beacon
    assert view.refusals["unsupported_kind"] == world.refused > 0
    unsupported = [row for row in refusal_rows(world.net) if row[5] == verdicts.UNSUPPORTED_KIND]
    assert len(unsupported) == world.refused
    assert view.genesis == world.net.genesis.hash and view.name == "test"


def refusal_rows(net: Net) -> list[Any]:
    return [row for path in net.home.batches.glob("*/refusals.rows") for row in REFUSALS.unpack(path.read_bytes())]


def test_devices(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    home = world.net.home
    paid, given, held = records(home, "payouts"), records(home, "verdicts"), withheld(world)
    assert [view.device for view in said["devices"]] == sorted(hand.id for hand in world.hands.values())
    assert [page[0].device for page in said["pages"][:-1]] == [view.device for view in said["devices"]]
    for view in said["devices"]:
        own = [row for row in given if row["device"] == view.device]
        good = [row for row in own if row["code"] in (verdicts.OK, verdicts.LATE)]
        assert view == said["device"][view.device]
        assert view.paid == total(paid, "paid", lambda row, view=view: row["device"] == view.device)
        assert view.withheld == held[view.device]
        assert view.statements == len(good) and view.last_slot == max(row["slot"] for row in good)
        assert view.gaps == max(row["seq"] for row in own) - len({row["seq"] for row in own})
        assert view.owner == world.owner[view.device]
    named = {name: said["device"][hand.id] for name, hand in world.hands.items()}
    assert named["west0"].standing == "quarantined" and named["west0"].reason == "fork"
    assert named["north1"].gaps > 0


def withheld(world: World) -> dict[bytes, int]:
    found: dict[bytes, int] = defaultdict(int)
    for row in records(world.net.home, "payouts"):
        found[row["device"]] += row["withheld"] - row["released"]  # type: ignore[index,operator]
    return found


def test_payouts_by_device_epoch_and_owner_are_the_same_rows(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    published = {tuple(v for k, v in row.items() if k != "batch") for row in records(world.net.home, "payouts")}
    by_device = {tuple(row) for rows in said["device_payouts"].values() for row in rows}
    by_epoch = {tuple(row) for rows in said["payouts"].values() for row in rows}
    assert by_device == by_epoch == published and len(published) > 15
    for owner, rows in said["owner_epochs"].items():
        for row in rows:
            own = [one for one in said["payouts"][row.epoch] if one.owner == owner]
            assert row.devices == len(own)
            for name in ("paid", "presence", "sensing", "owner_cap", "withheld", "released"):
                assert getattr(row, name) == sum(getattr(one, name) for one in own), name


def test_epochs(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    published = {row["epoch"]: row for row in records(world.net.home, "epochs")}
    assert [view.number for view in said["epochs"]] == list(range(len(said["epochs"])))[::-1]
    assert {view.number for view in said["epochs"] if view.closed} == published.keys() == set(range(5))
    for view in said["epochs"]:
        if not view.closed:
            assert (view.batch, view.header, view.paid, view.treasury) == (-1, b"", 0, 0)
            continue
        row = published[view.number]
        assert (view.emission, view.paid, view.treasury) == (row["emission"], row["paid"], row["treasury"])
        assert view.paid + view.treasury == view.emission
        assert view.devices == row["devices"] == sum(1 for one in said["payouts"][view.number] if one.paid)
        assert view.batch == row["batch"]
        header = (world.net.home.batches / str(view.batch) / "header.cose").read_bytes()
        envelope = cose.unwrap(header)
        aad = cose.external_aad(cose.TYPE_HEADER, world.net.genesis.hash)
        assert view.header == cose.identity(cose.signed_bytes(envelope.kid, aad, envelope.payload))


def test_owners_and_the_books(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    postings, paid = records(world.net.home, "postings"), records(world.net.home, "payouts")
    assert {view.account for view in said["owners"]} == set(world.owner.values())
    assert [view.paid for view in said["owners"]] == sorted((view.paid for view in said["owners"]), reverse=True)
    for account, view in said["owner"].items():
        credited = total(
            postings, "amount", lambda row, a=account: (row["credit_kind"], row["credit_holder"]) == (2, a)
        )
        debited = total(postings, "amount", lambda row, a=account: (row["debit_kind"], row["debit_holder"]) == (2, a))
        assert view.balance == credited - debited
        assert view.paid == total(paid, "paid", lambda row, a=account: row["owner"] == a)
        assert view.withheld == sum(held for device, held in withheld(world).items() if world.owner[device] == account)
        assert view.balance == view.paid - view.withheld
        assert len(view.devices) == sum(1 for owner in world.owner.values() if owner == account)
        capped = sorted({row["epoch"] for row in records(world.net.home, "caps") if row["owner"] == account})
        assert view.capped_epochs == capped
    assert any(view.capped_epochs for view in said["owner"].values())
    assert sum(view.paid for view in said["owner"].values()) == said["network"].paid


def test_presence_and_readings(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    published = records(world.net.home, "presence")
    for device, views in said["presence"].items():
        own = {row["epoch"]: row for row in published if row["device"] == device}
        closed = {view.epoch: view for view in views if view.epoch in own}
        assert closed.keys() == own.keys()
        for epoch, view in closed.items():
            assert (view.windows_present, view.windows) == (own[epoch]["windows_present"], own[epoch]["windows"])
    reports = [row for row in records(world.net.home, "verdicts") if row["seq"] != 1]
    for device, views in said["readings"].items():
        sent = {(row["slot"], row["boot"], row["seq"]) for row in reports if row["device"] == device}
        assert {(view.slot, view.boot, view.seq) for view in views} <= sent and views
        assert all(len(view.values) == 1 for view in views)


def test_uptime_of_many_devices_is_that_of_each(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    rows = {(row["epoch"], row["device"]): row for row in records(world.net.home, "presence")}
    closed = [epoch.number for epoch in said["epochs"] if epoch.closed]
    assert said["uptime"][0, False] is None and said["uptime"][None, False].last == max(closed)

    def up(device: bytes, epoch: int) -> tuple[int, int]:
        row = rows.get((epoch, device))
        return (row["windows_present"], row["windows"]) if row else (0, EPOCH)

    for (before, missed), view in said["uptime"].items():
        if before == 0:
            continue
        assert (view.first, view.last) == ((0, 1) if before == 2 else (max(closed) - 2, max(closed)))
        expected = {
            each.device: [up(each.device, n) for n in range(view.first, view.last + 1)] for each in said["devices"]
        }
        found = {row.device: row.up for row in view.rows}
        kept = [device for device in expected if not missed or expected[device][-1][0] < expected[device][-1][1]]
        assert found == {device: expected[device] for device in kept} and view.next == b""
        assert 0 < len(found) < 6 or not missed
    one_by_one = said["uptime by one"]
    assert [row.device for view in one_by_one[::2] for row in view.rows] == sorted(world.owner)
    assert [view.next for view in one_by_one[::2]] == [*sorted(world.owner)[:5], b"", b""]
    assert {row.device for view in one_by_one[1::2] for row in view.rows} == {
        row.device for row in said["uptime"][None, True].rows
    }


def test_rewards_by_day_are_those_of_the_payouts(asked: tuple[World, dict[str, Any]]) -> None:
    """All beacons of the test were sent within a day, or two where midnight fell into it."""
    world, said = asked
    paid = records(world.net.home, "payouts")
    for days, bound in zip(said["days"], (10**9, 3, 0), strict=True):
        assert len(days) <= 2 and (bound == 0) == (not days)
        for day in days:
            for name in ("presence", "sensing", "owner_cap", "paid"):
                inside = total(paid, name, lambda row, day=day: day.first <= row["epoch"] <= day.last)  # type: ignore[misc]
                assert getattr(day, name) == inside > 0
        assert sum(day.paid for day in days) == total(paid, "paid", lambda row, bound=bound: row["epoch"] < bound)  # type: ignore[misc]


def test_what_a_device_says_about_itself(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    north, south = world.hands["north0"].id, world.hands["south0"].id
    rows = records(world.net.home, "told")
    assert {row["device"] for row in rows} == {north, south}
    values = [(row["code"], row["value"]) for row in rows if row["device"] == north]
    assert values == [(2, 5), (16, 1), (2, 1218), (16, 0), (60, 7)]
    for device, view in said["device"].items():
        of_device = [row for row in rows if row["device"] == device]
        newest = {row["code"]: row["value"] for row in of_device}
        assert {one.code: one.value for one in view.notices} == newest
        for one in view.notices:
            assert one.since == max(row["slot"] for row in of_device if row["code"] == one.code)
            assert one.text.endswith((f"({one.name}).", f": {one.name}."))
    by_epoch = [reasons_of(said, north, epoch) for epoch in range(4)]
    assert "It dropped 5 statements for want of room while offline (dropped)." in by_epoch[0]
    assert "It dropped 1,213 statements for want of room while offline (dropped)." in by_epoch[1]
    assert not any("(dropped)" in text for text in by_epoch[2])
    absent = "Sensor of temperature: gives no answer since epoch 0 (sensor_absent)."
    assert [absent in texts for texts in by_epoch] == [True, True, False, False]
    assert "Over since epoch 2: sensor_absent." in by_epoch[2] and "It says 7 (notice_60)." in by_epoch[2]
    assert "It was restarted by its watchdog (reset_cause)." in reasons_of(said, south, 0)


def reasons_of(said: dict[str, Any], device: bytes, epoch: int) -> list[str]:
    return [reason.text for reason in said["explained"][(device, epoch)].reasons]


def test_who_is_not_there(asked: tuple[World, dict[str, Any]]) -> None:
    assert asked[1]["nobody"] == (None, None, None)


FLOOR = re.compile(r"floor\((\d+) x (\d+) / (\d+)\)")
EQUATION = re.compile(r"(?:^|[ :;])([A-Za-z][\w ]*?) = ((?:floor\([^)]*\)|[\d+ -]+?)+) = (\d+)[.,]")
NUMBER = re.compile(r"(\bW|\bC0|\bG0|\bE) = (\d+)[.;]")


def computed(formula: str) -> int:
    """A printed formula, by hand: floors first, then from left to right."""
    plain = FLOOR.sub(lambda found: str(int(found[1]) * int(found[2]) // int(found[3])), formula)
    assert re.fullmatch(r"\d+( [+-] \d+)*", plain), formula
    sign, value = 1, 0
    for word in plain.split():
        if word in "+-":
            sign = 1 if word == "+" else -1
        else:
            value += sign * int(word)
    return value


def test_a_payout_is_computed_again_from_the_printed_numbers_alone(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    rows = records(world.net.home, "payouts")
    capped = quarantined = withheld_of = released = 0
    for row in rows:
        lines = said["explained"][row["device"], row["epoch"]].lines()
        printed = {}
        for line in lines[lines.index("The sum, in base units:") + 1 :]:
            for name, formula, result in EQUATION.findall(line):
                assert computed(formula) == int(result), line
                printed[name] = computed(formula)
        for name in ("presence", "sensing", "owner cap"):
            assert printed.get(name, 0) == row[name.replace(" ", "_")], (name, lines)
        assert printed["paid"] == row["paid"] and printed.get("withheld", 0) == row["withheld"]
        text = "\n".join(lines)
        assert (f"released now = {row['released']}." in text) == bool(row["released"])
        capped += "allowed" in printed
        quarantined += "because it was quarantined" in text
        withheld_of += bool(row["withheld"])
        released += bool(row["released"])
    assert capped and quarantined and withheld_of and released


def test_the_printed_prefix_sums_are_those_of_all_devices(asked: tuple[World, dict[str, Any]]) -> None:
    world, said = asked
    rows = records(world.net.home, "payouts")
    for row in rows:
        of_epoch = [one for one in rows if one["epoch"] == row["epoch"]]
        before = [one for one in of_epoch if one["device"] < row["device"]]
        found = NUMBER.findall("\n".join(said["explained"][row["device"], row["epoch"]].derivation))
        sums = [total(each, column) for column in ("presence_ppm", "sensing_ppm") for each in (of_epoch, before)]
        assert [int(value) for name, value in found if name in ("W", "C0")] == sums
        mine = [one for one in before if one["owner"] == row["owner"]]
        gross = total(mine, "presence") + total(mine, "sensing")
        assert [int(value) for name, value in found if name == "G0"] in ([], [gross])


def test_an_open_epoch_has_no_sum_yet(asked: tuple[World, dict[str, Any]]) -> None:
    _, said = asked
    newest = said["network"].epoch
    assert [one.derivation for (_, epoch), one in said["explained"].items() if epoch == newest] == [[]] * 6
