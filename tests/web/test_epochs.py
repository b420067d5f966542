"""Epoch pages say what the ledger says, and search finds what people type."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from coordinator.kernel.postings import CODES
from coordinator.store.queries import Queries
from coordinator.store.schema import table_of
from tests.web.document import Document
from tests.web.fakes import World
from tests.web.money import CLOSED, Money
from tests.web.money import money as lived
from tests.web.serving import Client


@pytest.fixture(scope="module")
def money(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Money]:
    with lived(tmp_path_factory.mktemp("epochs")) as found:
        yield found


def read(money: Money, target: str) -> Any:
    return money.http.get(target).json


def test_reasons_and_postings_are_those_of_the_rows(money: Money) -> None:
    """Counted anew here from the records themselves."""

    async def rows(queries: Queries, store: str, table: str, epoch: int) -> list[sa.Row]:
        made = table_of(store, table)
        return list(await queries._rows(store, sa.select(made).where(made.c.epoch == epoch)))

    seen = set()
    for epoch in range(CLOSED):
        told = read(money, f"/api/v1/epochs/{epoch}/detail")
        assert told["state"] == "closed" and told["missing"] == 0
        presence = money.ask(lambda queries, epoch=epoch: rows(queries, "presence", "presence", epoch))
        payouts = money.ask(lambda queries, epoch=epoch: rows(queries, "rewards", "payouts", epoch))
        postings = money.ask(lambda queries, epoch=epoch: rows(queries, "ledger", "postings", epoch))
        expected = {
            "absent": sum(row.windows_present == 0 for row in presence),
            "sometimes_absent": sum(0 < row.windows_present < row.windows for row in presence),
            "owner_cap": sum(row.owner_cap > 0 for row in payouts),
            "vetting": sum(row.withheld > 0 for row in payouts),
            "released": sum(row.released > 0 for row in payouts),
        }
        counted = {one["code"]: one["devices"] for one in told["reasons"]}
        assert {code: counted.get(code, 0) for code in expected} == expected
        seen |= set(counted)
        by_code: dict[str, list[int]] = {}
        for row in postings:
            by_code.setdefault(CODES[row.code], []).append(row.amount)
        assert {one["code"]: (one["postings"], one["amount"]) for one in told["posted"]} == {
            code: (len(amounts), sum(amounts)) for code, amounts in by_code.items()
        }
    assert {"sometimes_absent", "owner_cap", "vetting", "released"} <= seen


def test_the_page_has_every_payout_and_leads_to_its_stub(money: Money) -> None:
    page = money.http.page(f"/epochs/{CLOSED - 1}")
    paid = read(money, f"/api/v1/epochs/{CLOSED - 1}/payouts")["payouts"]
    links = {attrs.get("href") for tag, attrs in Document(page).tags if tag == "a"}
    assert paid and {f"/devices/{one['device']}/stubs/{CLOSED - 1}" for one in paid} <= links
    assert "exactly" in Document(page).text
    assert money.http.page("/epochs/999999999").status == 404
    running = money.http.page(f"/epochs/{read(money, '/api/v1/network')['epoch']}")
    assert "still running" in Document(running).text


def test_search_finds_what_people_type(money: Money) -> None:
    device, owner = money.id("ann1").hex(), money.owner["ann"].hex()
    batch = read(money, "/api/v1/network")["batches"] - 1
    for typed, address in (
        (device, f"/devices/{device}"),
        (f" {device[:16].upper()}  {device[16:]}", f"/devices/{device}"),
        (device[:9], f"/devices/{device}"),
        (owner, f"/owners/{owner}"),
        (owner[:12], f"/owners/{owner}"),
        (f"batch {batch}", f"/batches/{batch}"),
        ("Epoch #0", "/epochs/0"),
    ):
        answer = money.http.page(f"/search?q={quote(typed)}")
        assert (answer.status, answer.headers["Location"]) == (303, address), typed
    for typed, words in (
        ("batch 99999999", "no batch 99999999"),
        ("f" * 31, "No device and no owner"),
        ("abcde", "not an id"),
        ("0" * 64, "No owner message"),
        ("<script>", "not an id"),
    ):
        answer = money.http.page(f"/?q={quote(typed)}")
        assert answer.status == 200 and words in Document(answer).text, typed


def test_several_with_one_beginning_are_listed(client: Client, shown: World) -> None:
    """In the small network in memory ids are made up, so one beginning is given to two of them."""
    first, second = list(shown.devices)[:2]
    twin = first[:15] + bytes([first[15] ^ 1])
    shown.devices[twin] = shown.devices[second]
    try:
        answer = client.page(f"/?q={first.hex()[:31]}")
        expected = {f"/devices/{one.hex()}" for one in (first, twin) if one.hex()[:31] == first.hex()[:31]}
        assert {attrs.get("href") for tag, attrs in Document(answer).tags if tag == "a"} >= expected
    finally:
        del shown.devices[twin]
