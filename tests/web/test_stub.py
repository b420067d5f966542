"""The pay stub: it adds up, it says why where nothing was paid, and each number leads to what it rests on."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from coordinator.kernel.postings import CODES
from tests.e2e.published import records
from tests.e2e.running import edgetally
from tests.web.document import Document
from tests.web.money import CLOSED, CORRECTED, Money


def stubs(world: Money) -> Iterator[tuple[str, int, dict[str, Any]]]:
    for name, hand in world.hands.items():
        for epoch in range(CLOSED):
            yield name, epoch, world.http.get(f"/api/v1/devices/{hand.id.hex()}/stubs/{epoch}").json


def test_every_stub_adds_up_to_the_published_row(world: Money) -> None:
    rows = {(row["device"], row["epoch"]): row for row in records(world.net.home, "payouts")}
    seen: set[str] = set()
    for name, epoch, stub in stubs(world):
        row = rows.get((world.id(name), epoch))
        if row is None:
            assert (stub["paid"], stub["payout"], stub["shares"]) == (0, None, [])
            seen |= {line["code"] for line in stub["changes"]}
            continue
        for line in stub["shares"]:
            before, after = line["weights_before"], line["weights_before"] + line["weight_ppm"]
            share = line["pool"] * after // line["weights_all"] - line["pool"] * before // line["weights_all"]
            assert line["amount"] == share == row[line["code"]]
        changes = Counter[str]()
        for line in stub["changes"]:
            changes[line["code"]] += line["amount"]
        seen |= changes.keys()
        assert changes.get("owner_cap", 0) == -int(row["owner_cap"])
        assert stub["paid"] == row["paid"] == sum(one["amount"] for one in stub["shares"]) + changes.get("owner_cap", 0)
        corrected = sum(one[2] for one in CORRECTED if one[:2] == (name, epoch))
        assert stub["credited"] == int(row["paid"]) - int(row["withheld"]) + int(row["released"]) + corrected
        assert stub["explanation"]["payout"]["paid"] == stub["paid"]
    assert seen == {"owner_cap", "vetting", "released", "correction"}


def test_the_postings_of_a_stub_are_rows_of_the_batch(world: Money) -> None:
    by_batch: dict[int, list[dict[str, Any]]] = {}
    for row in records(world.net.home, "postings"):
        by_batch.setdefault(row["batch"], []).append(row)  # type: ignore[arg-type]
    claimed = []
    for name, _, stub in stubs(world):
        credited = 0
        for one in stub["postings"]:
            row = by_batch[one["batch"]][one["number"]]
            assert (one["amount"], one["code"]) == (row["amount"], CODES[row["code"]])
            assert one["credit_holder"] == row["credit_holder"].hex()
            credited += one["amount"] if (one["credit"], one["credit_holder"]) == ("owner", stub["owner"]) else 0
            claimed.append((one["batch"], one["number"]))
        assert credited == stub["credited"], name
    assert len(claimed) == len(set(claimed))
    paying = [
        row
        for rows in by_batch.values()
        for row in rows
        if CODES[row["code"]] not in ("unearned", "transfer", "settled")
    ]
    assert len(claimed) == len(paying)


def test_the_statements_behind_a_stub_are_those_of_the_batches(world: Money) -> None:
    given = records(world.net.home, "verdicts")
    for name, hand in world.hands.items():
        found = []
        for epoch in range(CLOSED):
            target: str | None = f"/api/v1/devices/{hand.id.hex()}/statements?epoch={epoch}&limit=3"
            of_epoch = []
            while target:
                page = world.http.get(target).json
                of_epoch += page["statements"]
                target = page["next"]
            stub = world.http.get(f"/api/v1/devices/{hand.id.hex()}/stubs/{epoch}").json
            assert stub["statements"] == len(of_epoch)
            found += [one["id"] for one in of_epoch if one["epoch"] == epoch]
            present = {one["quoted"] for one in of_epoch if one["verdict"] == "ok" and one["epoch"] == epoch}
            assert len(present) >= (stub["shares"][0]["windows"] if stub["shares"] else 0), (name, epoch)
        own = [row for row in given if row["device"] == hand.id and row["slot"] < CLOSED * 4]
        assert set(found) <= {row["id"].hex() for row in own}
        counted = {row["id"].hex() for row in own if row["slot"] < (CLOSED - 1) * 4}
        assert counted <= set(found)


def test_where_nothing_was_paid_the_page_begins_with_why(world: Money) -> None:
    device = world.id("bob1").hex()
    page = Document(world.http.page(f"/devices/{device}/stubs/{CLOSED - 1}"))
    assert "Why was nothing paid" in page.text and "(absent)" in page.text and "Check power" in page.text
    assert page.text.index("Why was nothing paid") < page.text.index("Check it")
    quarantined = Document(world.http.page(f"/devices/{world.id('cy0').hex()}/stubs/{CLOSED - 1}"))
    assert "quarantined" in quarantined.text and "Enrol the real device again" in quarantined.text


def test_the_page_says_what_the_api_says_and_its_links_lead_somewhere(world: Money) -> None:
    followed: dict[str, int] = {}
    for name, epoch in (("ann0", 1), ("ann2", CLOSED - 1), ("ann1", 3), ("bob1", CLOSED - 1), ("cy0", 3)):
        device = world.id(name).hex()
        stub = world.http.get(f"/api/v1/devices/{device}/stubs/{epoch}").json
        page = Document(world.http.page(f"/devices/{device}/stubs/{epoch}"))
        for amount in [stub["paid"], stub["credited"], *(one["amount"] for one in stub["shares"])]:
            assert abs(amount) in page.amounts or not stub["shares"]
        targets = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "href" in attrs]
        for target in [*targets, *stub["links"].values()]:
            path = str(target).split("#")[0]
            if path and path not in followed:
                followed[path] = world.http.page(path).status
    assert {path: status for path, status in followed.items() if status != 200} == {}


def test_what_is_no_stub_is_refused_by_name(world: Money) -> None:
    device = world.id("ann0").hex()
    for target, status, code in (
        (f"/api/v1/devices/{device}/stubs/99", 404, "unknown_epoch"),
        (f"/api/v1/devices/{device}/stubs/x", 400, "bad_id"),
        (f"/api/v1/devices/{'0' * 32}/stubs/1", 404, "unknown_device"),
        (f"/api/v1/devices/{device}/statements", 400, "bad_query"),
        (f"/api/v1/devices/{device}/statements?epoch=99", 404, "unknown_epoch"),
        (f"/api/v1/accounts/{'x' * 32}/postings", 400, "bad_id"),
    ):
        answer = world.http.get(target)
        assert (answer.status, answer.json["code"]) == (status, code), target
    assert world.http.get(f"/api/v1/devices/{device}/stubs/{CLOSED}").json["state"] == "open"


def test_the_ledger_in_pages_is_the_whole_ledger(world: Money) -> None:
    every = records(world.net.home, "postings")
    for account in world.owner.values():
        found: list[dict[str, Any]] = []
        target: str | None = f"/api/v1/accounts/{account.hex()}/postings?limit=4"
        while target:
            page = world.http.get(target).json
            found += page["postings"]
            target = page["next"]
        own = [row for row in every if account in (row["credit_holder"], row["debit_holder"])]
        assert len(found) == len(own) == len({(one["batch"], one["number"]) for one in found})
        own_side = ("owner", account.hex())
        balance = sum(one["amount"] * (1 if (one["credit"], one["credit_holder"]) == own_side else -1) for one in found)
        assert balance == world.http.get(f"/api/v1/accounts/{account.hex()}").json["balance"]


def test_the_command_line_says_the_same_lines(world: Money) -> None:
    device = world.id("ann0").hex()
    stub = world.http.get(f"/api/v1/devices/{device}/stubs/2").json
    told = edgetally("explain", device, "--epoch", 2, "--stub", "--data-dir", world.net.home.root)
    assert told.stdout.splitlines() == [stub["explanation"]["summary"], *stub["lines"]]
