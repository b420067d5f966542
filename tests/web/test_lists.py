"""Lists of the API: filters, the one shape of cursor, and what is refused."""

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from coordinator.bench.pages.requests import behind
from coordinator.web.cursors import CHECK_BYTES
from tests.web.document import Document
from tests.web.fakes import World
from tests.web.money import Money
from tests.web.serving import Client
from tests.web.test_api import API, assert_problem


def every(client: Client, target: str, name: str) -> list[Any]:
    """All rows of a list; each page but the last leads on."""
    found: list[Any] = []
    for _ in range(200):
        answer = client.get(target)
        assert answer.status == 200, answer.body
        found += answer.json[name]
        if answer.json["next"] is None:
            return found
        target = answer.json["next"]
        assert set(parse_qs(urlsplit(target).query)) & {"after", "before"} == set()
    raise AssertionError("a list without an end")


def lists(world: Money) -> dict[str, str]:
    """By address, the name of the rows of every list of the API."""
    ann, bob, device = (one.hex() for one in (world.owner["ann"], world.owner["bob"], world.id("ann1")))
    return {
        "/devices": "devices",
        f"/devices?owner={ann}": "devices",
        f"/devices/{device}/payouts": "payouts",
        f"/devices/{device}/presence": "presence",
        f"/devices/{device}/readings": "readings",
        f"/devices/{device}/statements?epoch=1": "statements",
        "/owners": "owners",
        f"/owners/{ann}/rewards": "rewards",
        f"/owners/{ann}/corrections": "corrections",
        f"/owners/{bob}/settlements": "settlements",
        f"/accounts/{bob}/postings": "postings",
        f"/accounts/{bob}/postings?epoch=3": "postings",
        "/epochs": "epochs",
        "/epochs?from=1&to=4": "epochs",
        "/epochs/3/payouts": "payouts",
        f"/epochs/3/payouts?owner={ann}": "payouts",
        "/epochs/3/postings": "postings",
        f"/epochs/4/postings?owner={ann}": "postings",
        "/epochs/3/postings?code=reward": "postings",
        "/quarantines": "quarantines",
        "/appeals": "appeals",
    }


def test_every_list_goes_on_page_by_page_without_loss(world: Money) -> None:
    several = 0
    for path, name in lists(world).items():
        joined = "&" if "?" in path else "?"
        whole = every(world.http, f"{API}{path}{joined}limit=500", name)
        assert every(world.http, f"{API}{path}{joined}limit=2", name) == whole, path
        several += len(whole) > 2
    assert several >= 12


def test_epochs_from_and_to(client: Client, shown: World) -> None:
    rows = every(client, f"{API}/epochs?from=1&to=3&limit=2", "epochs")
    assert [row["number"] for row in rows] == [3, 2, 1]
    assert every(client, f"{API}/epochs?to=0", "epochs")[0]["number"] == 0
    assert every(client, f"{API}/epochs?from={2**63 - 1}&to={2**63 - 1}", "epochs") == []
    assert_problem(client.get(f"{API}/epochs?from=3&to=1"), 400, "bad_query")


def test_postings_of_an_epoch_are_those_of_its_accounts(world: Money) -> None:
    """Both ways to a posting lead to the same ones, and their sum is what the epoch posted."""
    number = 3
    rows = every(world.http, f"{API}/epochs/{number}/postings", "postings")
    detail = world.http.get(f"{API}/epochs/{number}/detail").json
    for posted in detail["posted"]:
        chosen = every(world.http, f"{API}/epochs/{number}/postings?code={posted['code']}", "postings")
        assert (len(chosen), sum(one["amount"] for one in chosen)) == (posted["postings"], posted["amount"])
        assert [one for one in rows if one["code"] == posted["code"]] == chosen
    assert len(rows) == sum(posted["postings"] for posted in detail["posted"]) > 10
    for account in world.owner.values():
        target = f"{API}/epochs/{number}/postings?owner={account.hex()}"
        mine = every(world.http, target, "postings")
        by_account = every(world.http, f"{API}/accounts/{account.hex()}/postings?epoch={number}", "postings")
        assert sorted(map(str, mine)) == sorted(map(str, by_account)) and mine
        rewards = every(world.http, f"{target}&code=reward", "postings")
        assert rewards == [one for one in mine if one["code"] == "reward"]
    assert every(world.http, f"{API}/epochs/{number}/postings?owner={'0' * 32}", "postings") == []


def test_devices_by_each_filter(world: Money) -> None:
    rows = every(world.http, f"{API}/devices", "devices")
    beacon = world.http.get(f"{API}/network").json["beacon"]
    for query, wanted in {
        "standing=quarantined": [one for one in rows if one["standing"] == "quarantined"],
        f"owner={world.owner['bob'].hex()}": [one for one in rows if one["owner"] == world.owner["bob"].hex()],
        "measures=temperature": [one for one in rows if "temperature" in [of["name"] for of in one["channels"]]],
        f"silent_since={beacon - 6}": [one for one in rows if one["last_slot"] < beacon - 6],
    }.items():
        found = every(world.http, f"{API}/devices?{query}&limit=1", "devices")
        assert sorted(one["device"] for one in found) == [one["device"] for one in wanted] and wanted, query


def test_statements_by_verdict(world: Money) -> None:
    device = world.id("cy0").hex()
    target = f"{API}/devices/{device}/statements?epoch=3"
    rows = every(world.http, target, "statements")
    for verdict in {row["verdict"] for row in rows}:
        found = every(world.http, f"{target}&verdict={verdict}&limit=1", "statements")
        assert found == [row for row in rows if row["verdict"] == verdict]
    assert len({row["verdict"] for row in rows}) > 1


REFUSED = {
    "/devices?colour=red": ("colour", "limit, cursor, standing, owner, measures, silent_since"),
    "/devices?standing=gone": ("standing", "vetting, active, quarantined, revoked"),
    "/devices?standing=": ("standing", "vetting"),
    "/devices?owner=ann": ("owner", "32 lower-case"),
    "/devices?silent_since=-1": ("silent_since", "from 0 to"),
    "/devices?measures=%00": ("measures", "printable"),
    "/devices?standing=active&standing=active": ("standing", "given once"),
    "/devices?" + "x" * 300 + "=1": ("A field of the query", "limit"),
    "/devices?a%0d%0aSet-Cookie:x=1": ("A field of the query", "limit"),
    "/epochs?from=x": ("from", "whole number"),
    "/epochs/1/postings?code=gift": ("code", "reward, withheld"),
    "/epochs/1/payouts?owner=1": ("owner", "32 lower-case"),
    "/network?limit=1": ("limit", "no fields"),
    "/owners?after=1": ("after", "limit, cursor"),
}


@pytest.mark.parametrize("target", REFUSED)
def test_a_field_or_value_that_is_not_there_is_told_what_is(client: Client, target: str) -> None:
    field, told = REFUSED[target]
    answer = client.get(API + target)
    assert_problem(answer, 400, "bad_query")
    assert answer.json["field"] == field and told in answer.json["detail"]


def test_a_verdict_that_is_not_there(client: Client, shown: World) -> None:
    answer = client.get(f"{API}/devices/{next(iter(shown.devices)).hex()}/statements?epoch=1&verdict=fine")
    assert_problem(answer, 400, "bad_query")
    assert "stale_beacon" in answer.json["detail"]


def test_a_cursor_is_of_its_list_and_filters_alone(client: Client) -> None:
    following = client.get(f"{API}/devices?limit=1").json["next"]
    (cursor,) = parse_qs(urlsplit(following).query)["cursor"]
    assert client.get(f"{API}/devices?cursor={cursor}").status == 200
    data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    place = data[CHECK_BYTES:]
    forged = [
        cursor[:-1],
        cursor + "A",
        cursor + "=",
        cursor.upper(),
        "A" * 8,
        "A" * 5000,
        "%00",
        "é",
        *(base64.urlsafe_b64encode(bytes(CHECK_BYTES) + one).decode().rstrip("=") for one in (place, b"", b"\x80")),
        *(cursor[:at] + ("B" if cursor[at] == "A" else "A") + cursor[at + 1 :] for at in range(0, len(cursor), 5)),
    ]
    for one in forged:
        answer = client.get(f"{API}/devices?cursor={one.replace('é', '%C3%A9')}")
        assert_problem(answer, 400, "bad_query")
        assert answer.json["field"] == "cursor"
    for other in (f"devices?standing=active&cursor={cursor}", f"owners?cursor={cursor}", f"epochs?cursor={cursor}"):
        assert_problem(client.get(f"{API}/{other}"), 400, "bad_query")


def test_the_page_has_the_same_filters_as_a_form(client: Client, shown: World) -> None:
    jailed = [device.hex() for device, view in sorted(shown.devices.items()) if view.standing == "quarantined"]
    page = client.page("/devices?form=1&standing=quarantined&owner=&measures=&silent_since=")
    assert page.status == 200
    ids = [attrs["title"] for tag, attrs in Document(page).tags if tag == "a" and attrs.get("class") == "id"]
    assert [one for one in ids if bytes.fromhex(one or "") in shown.devices] == jailed
    assert "<option selected>quarantined</option>" in page.text
    assert "No device is like that." in client.page("/devices?measures=nothing").text
    for wrong in ("standing=gone", "colour=red", "owner=", "cursor=AAAAAAAA"):
        answer = client.page(f"/devices?{wrong}")
        assert (answer.status, answer.type) == (400, "text/html"), wrong


def test_a_cursor_survives_what_is_asked_at_once(client: Client) -> None:
    """Nothing of a list is held on the server: pages may be asked for in any order, and by many."""
    first = client.get(f"{API}/devices?limit=3").json["next"]

    async def both() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(client.get, first) for _ in range(4)))

    assert len({answer.body for answer in asyncio.run(both())}) == 1


def test_the_bench_begins_in_the_middle_of_a_list(client: Client, shown: World) -> None:
    ids = [device.hex() for device in sorted(shown.devices)]
    for path, name in (("/devices", "devices"), ("/epochs/1/payouts", "payouts")):
        rows = client.get(behind(f"{API}{path}?cursor={ids[3]}")).json[name]
        assert [row["device"] for row in rows] == ids[4:]
    assert client.page(behind(f"/devices?cursor={ids[3]}")).status == 200 and behind("/epochs") == "/epochs"
