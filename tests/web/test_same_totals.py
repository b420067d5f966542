"""The same total for the same thing on every page, in the API, in `explain` and in the ledger.

Each thing is summed here from the published rows alone, and then looked for wherever it is said."""

from collections import defaultdict
from typing import Any

import pytest

from coordinator.kernel.amounts import tokens
from coordinator.kernel.postings import ACCOUNT_KINDS, CODES, EMISSION, OWNER, SETTLED, TREASURY, WITHHELD
from tests.e2e.published import records
from tests.e2e.running import edgetally
from tests.web.document import Document
from tests.web.money import CLOSED, CORRECTED, Money

PARTS = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
ZERO = bytes(16)


class Truth:
    """Sums over the published rows."""

    def __init__(self, world: Money) -> None:
        home = world.net.home
        self.payouts = records(home, "payouts")
        self.epochs = {row["epoch"]: row for row in records(home, "epochs")}
        self.balances: dict[tuple[int, bytes], int] = defaultdict(int)
        self.codes: dict[str, int] = defaultdict(int)
        for row in records(home, "postings"):
            self.balances[row["debit_kind"], row["debit_holder"]] -= row["amount"]  # type: ignore[index,operator]
            self.balances[row["credit_kind"], row["credit_holder"]] += row["amount"]  # type: ignore[index,operator]
            self.codes[CODES[row["code"]]] += row["amount"]  # type: ignore[index,operator]

    def sums(self, **wanted: object) -> dict[str, int]:
        rows = [row for row in self.payouts if all(row[name] == value for name, value in wanted.items())]
        return {name: sum(row[name] for row in rows) for name in PARTS}  # type: ignore[misc]


@pytest.fixture(scope="module")
def truth(world: Money) -> Truth:
    return Truth(world)


def page(world: Money, target: str) -> Document:
    answer = world.http.page(target)
    assert answer.status == 200, target
    return Document(answer)


def facts(world: Money, target: str) -> dict[str, list[int]]:
    """Amounts of a page by the term that they stand under: <dt>, or the head of the row."""
    document = Document(world.http.page(target))
    found: dict[str, list[int]] = defaultdict(list)
    for name, value in document.named:
        found[name].append(value)
    return found


def api(world: Money, path: str) -> Any:
    answer = world.http.get(f"/api/v1/{path}")
    assert answer.status == 200, path
    return answer.json


def test_the_story_has_everything_in_it(world: Money, truth: Truth) -> None:
    assert {"reward", "withheld", "released", "owner_cap", "transfer", "correction", "settled"} <= truth.codes.keys()
    standings = {one["standing"] for one in api(world, "devices")["devices"]}
    assert "quarantined" in standings
    assert len({row["owner"] for row in truth.payouts if row["device"] == world.id("ann2")}) == 2  # changed hands
    rotated = {row["id"] for row in records(world.net.home, "verdicts") if row["device"] == world.id("bob0")}
    assert len(rotated) > CLOSED  # went on after its key was rotated


def test_the_network(world: Money, truth: Truth) -> None:
    paid = sum(row["paid"] for row in truth.epochs.values())  # type: ignore[misc]
    treasury = sum(row["treasury"] for row in truth.epochs.values())  # type: ignore[misc]
    assert paid == truth.sums()["paid"]
    assert treasury == truth.balances[TREASURY, ZERO] + truth.codes["correction"]
    assert treasury == truth.codes["unearned"] + truth.codes["owner_cap"]
    assert paid + treasury == -truth.balances[EMISSION, ZERO]
    said = api(world, "network")
    assert (said["paid"], said["treasury"]) == (paid, treasury)
    amounts = page(world, "/").amounts
    assert paid in amounts and treasury in amounts
    assert sum(one["paid"] for one in api(world, "owners")["owners"]) == paid
    assert sum(one["paid"] for one in api(world, "devices")["devices"]) == paid
    assert sum(one["paid"] for one in api(world, "epochs")["epochs"]) == paid


@pytest.mark.parametrize("epoch", range(CLOSED))
def test_an_epoch(world: Money, truth: Truth, epoch: int) -> None:
    row, sums = truth.epochs[epoch], truth.sums(epoch=epoch)
    said = api(world, f"epochs/{epoch}")
    assert (said["emission"], said["paid"], said["treasury"]) == (row["emission"], row["paid"], row["treasury"])
    assert said["paid"] == sums["paid"]
    assert sum(one["paid"] for one in api(world, f"epochs/{epoch}/payouts")["payouts"]) == sums["paid"]
    listed = next(one for one in api(world, "epochs")["epochs"] if one["number"] == epoch)
    assert (listed["paid"], listed["treasury"]) == (said["paid"], said["treasury"])
    assert {row["paid"], row["treasury"]} <= set(page(world, "/").amounts)
    of_owners = [
        one
        for account in world.owner.values()
        for one in api(world, f"owners/{account.hex()}/rewards")["rewards"]
        if one["epoch"] == epoch
    ]
    for name in PARTS:
        assert sum(one[name] for one in of_owners) == sums[name]
    stubs = [api(world, f"devices/{hand.id.hex()}/stubs/{epoch}") for hand in world.hands.values()]
    assert sum(one["paid"] for one in stubs) == sums["paid"]
    corrected = sum(amount for _, of_epoch, amount in CORRECTED if of_epoch == epoch)
    assert sum(one["credited"] for one in stubs) == sums["paid"] - sums["withheld"] + sums["released"] + corrected


@pytest.mark.parametrize("name", ["ann", "bob", "cy"])
def test_an_owner(world: Money, truth: Truth, name: str) -> None:
    account = world.owner[name]
    sums, balance = truth.sums(owner=account), truth.balances[OWNER, account]
    own = [one for one in api(world, "devices")["devices"] if one["owner"] == account.hex()]
    withheld = sum(truth.balances[WITHHELD, bytes.fromhex(one["device"])] for one in own)
    view, home = api(world, f"owners/{account.hex()}"), api(world, f"owners/{account.hex()}/earnings")
    listed = next(one for one in api(world, "owners")["owners"] if one["account"] == account.hex())
    for said in (view, listed):
        assert (said["balance"], said["paid"], said["withheld"]) == (balance, sums["paid"], withheld)
    assert (home["balance"], home["withheld"], home["lifetime"]["paid"]) == (balance, withheld, sums["paid"])
    assert {name: home["lifetime"][name] for name in PARTS} == sums
    assert api(world, f"accounts/{account.hex()}")["balance"] == balance
    credited = sums["paid"] - sums["withheld"] + sums["released"]
    assert home["settled"] == truth.balances[SETTLED, account]
    assert set(facts(world, f"/owners/{account.hex()}")["Settled"]) == {home["settled"]}
    assert home["lifetime"]["credited"] == credited and credited + home["moved"] - home["settled"] == balance
    shown = facts(world, f"/owners/{account.hex()}")
    assert set(shown["Paid in all"]) == {sums["paid"]} and set(shown["Withheld"]) == {withheld}
    assert set(shown["Balance"]) == {balance}
    assert balance in page(world, f"/owners/{account.hex()}/ledger").amounts
    rewards = api(world, f"owners/{account.hex()}/rewards")["rewards"]
    for one in rewards:
        assert {part: one[part] for part in PARTS} == truth.sums(owner=account, epoch=one["epoch"])
        assert set(shown[str(one["epoch"])]) >= {one["paid"], one["withheld"], one["released"]} - {0}
    postings = api(world, f"accounts/{account.hex()}/postings")["postings"]
    came, went = (
        sum(one["amount"] for one in postings if (one[side], one[f"{side}_holder"]) == ("owner", account.hex()))
        for side in ("credit", "debit")
    )
    assert came - went == balance
    earned = sum(one["amount"] for one in postings if one["code"] in ("reward", "released"))
    assert earned == credited


def test_each_device(world: Money, truth: Truth) -> None:
    for hand in world.hands.values():
        device = hand.id.hex()
        sums, held = truth.sums(device=hand.id), truth.balances[WITHHELD, hand.id]
        view = api(world, f"devices/{device}")
        assert (view["paid"], view["withheld"]) == (sums["paid"], held)
        assert sum(one["paid"] for one in api(world, f"devices/{device}/payouts")["payouts"]) == sums["paid"]
        shown = facts(world, f"/devices/{device}")
        assert (set(shown["Paid so far"]), set(shown["Withheld"])) == ({sums["paid"]}, {held})
        home = facts(world, f"/owners/{view['owner']}")
        short = f"{device[:8]}…{device[-4:]}"
        assert {sums["paid"], held} - {0} <= set(home[short])
        listed = facts(world, "/devices")
        assert set(listed[short]) == {sums["paid"], held}


def test_each_payout_in_every_place(world: Money, truth: Truth) -> None:
    for row in truth.payouts:
        device, epoch, paid = row["device"].hex(), row["epoch"], int(row["paid"])  # type: ignore[attr-defined,call-overload]
        stub = api(world, f"devices/{device}/stubs/{epoch}")
        explained = api(world, f"devices/{device}/explain?epoch={epoch}")
        proved = api(world, f"devices/{device}/proof?epoch={epoch}")
        for said in (stub["payout"], explained["payout"], proved["payout"]):
            assert {part: said[part] for part in PARTS} == {part: row[part] for part in PARTS}
        assert stub["paid"] == paid and stub["explanation"] == explained
        assert tokens(paid) in explained["summary"] if paid else "nothing paid" in explained["summary"]
        told = [line for line in explained["derivation"] if line.startswith("paid = ")]
        assert told[0].endswith(f"= {paid}, which is {tokens(paid)} tokens.")
        shown = facts(world, f"/devices/{device}/stubs/{epoch}")
        assert set(shown["Paid"]) == {paid}
        posted: dict[str, int] = defaultdict(int)
        for one in stub["postings"]:
            posted[one["code"]] += one["amount"]
        kept = paid - int(row["withheld"])  # type: ignore[call-overload]
        corrected = sum(one[2] for one in CORRECTED if (world.id(one[0]), one[1]) == (row["device"], epoch))
        expected = {
            "reward": kept,
            "correction": corrected,
            **{code: row[code] for code in ("withheld", "released", "owner_cap")},
        }
        assert posted == {code: amount for code, amount in expected.items() if amount}


def test_the_command_line_says_the_same(world: Money, truth: Truth) -> None:
    device, data = world.id("ann1").hex(), world.net.home.root
    explained = api(world, f"devices/{device}/explain?epoch=3")
    told = edgetally("explain", device, "--epoch", 3, "--data-dir", data).stdout.splitlines()
    assert told == explained["lines"]
    listed = edgetally("payouts", "--epoch", 3, "--csv", "--data-dir", data).stdout
    assert sum(int(line.split(",")[6]) for line in listed.splitlines()[1:]) == truth.sums(epoch=3)["paid"]


def test_accounts_of_the_ledger_are_those_that_are_told(world: Money, truth: Truth) -> None:
    assert sum(truth.balances.values()) == 0
    assert set(ACCOUNT_KINDS) >= {kind for kind, _ in truth.balances}
    owed = sum(balance for (kind, _), balance in truth.balances.items() if kind in (OWNER, WITHHELD, SETTLED))
    assert owed == api(world, "network")["paid"] + truth.codes["correction"]
