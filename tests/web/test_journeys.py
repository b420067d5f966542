"""Two journeys in a real Chromium over a real network: a newcomer finds her device and her money; an owner learns why a
device earned nothing, and what to do. (The third, a sceptic's, is in test_verify.py.) They go by what people see."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.web.chromium import launched
from tests.web.money import Money, money

EPOCH = 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Money]:
    with money(tmp_path_factory.mktemp("journeys")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    made = context.new_page()
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    yield made
    context.close()
    assert said == []


def api(world: Money, path: str) -> Any:
    return world.http.get(f"/api/v1/{path}").json


def units(shown: Locator) -> int:
    """Base units of an amount as it stands in the page."""
    value = shown.locator("data.amount").first.get_attribute("value")
    assert value is not None
    return int(value)


def all_units(shown: Locator) -> list[int]:
    return [int(str(one.get_attribute("value"))) for one in shown.locator("data.amount").all()]


def fact(page: Page, term: str) -> Locator:
    """What stands under a term."""
    return page.get_by_role("definition").filter(has=page.locator(f"xpath=../dt[normalize-space()='{term}']"))


def test_a_newcomer_finds_her_device_and_her_money(world: Money, page: Page) -> None:
    device = world.id("ann0").hex()
    page.goto(f"http://127.0.0.1:{world.net.http_port}/")
    # All that she knows is the beginning of the id that her terminal printed.
    search = page.get_by_role("searchbox")
    search.fill(device[:8])
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(device)
    told = api(world, f"devices/{device}")
    assert told["paid"] > 0
    assert all_units(fact(page, "Paid so far")) == [told["paid"]]
    assert all_units(fact(page, "Withheld")) == [told["withheld"]]
    # What one epoch came to, and how.
    payout = next(one for one in api(world, f"devices/{device}/payouts")["payouts"] if one["epoch"] == EPOCH)
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=f"pay stub of epoch {EPOCH}"))
    parts = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
    assert all_units(row) == [payout[name] for name in parts]
    row.get_by_role("link", name="pay stub").click()
    page.wait_for_url(re.compile(rf"/devices/{device}/stubs/{EPOCH}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Pay stub of epoch {EPOCH}")
    stub = api(world, f"devices/{device}/stubs/{EPOCH}")
    assert stub["paid"] > 0 and stub["payout"]["paid"] == payout["paid"]
    for head, amount in (
        ("Being up", payout["presence"]),
        ("Measuring", payout["sensing"]),
        ("Paid", stub["paid"]),
    ):
        line = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=re.compile(f"^{head}")))
        assert all_units(line)[-1] == amount
    # And to whom it belongs.
    page.get_by_role("link", name=told["owner"][:8]).first.click()
    owner = api(world, f"owners/{told['owner']}")
    purse = page.get_by_role("region", name="Money")
    assert units(purse) == owner["balance"]


def test_an_owner_learns_why_a_device_earned_nothing_and_what_to_do(world: Money, page: Page, tmp_path: Path) -> None:
    silent, key = world.id("bob1").hex(), tmp_path / "bob.key"
    key.write_bytes(world.seeds["bob"])
    page.goto(f"http://localhost:{world.net.http_port}/")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Key file").set_input_files(key)
    page.get_by_role("button", name="Sign in with the key").click()
    page.get_by_role("link", name="My devices").click()
    attention = page.get_by_role("region", name=re.compile("silent"))
    expect(attention).to_contain_text(silent[:8])
    expect(attention).to_contain_text("Check power, network and the client's log.")
    # The newest closed epoch paid nothing for it: why, and what to do, stand beside it.
    unpaid = page.get_by_role("region", name=re.compile("earned nothing"))
    line = unpaid.get_by_role("listitem").filter(has_text=silent[:8])
    epoch = int(re.findall(r"epoch (\d+)", unpaid.get_by_role("heading").inner_text())[0])
    why = api(world, f"devices/{silent}/explain?epoch={epoch}")
    assert api(world, f"devices/{silent}/stubs/{epoch}")["paid"] == 0
    reason = why["reasons"][0]
    expect(line).to_contain_text(reason["text"])
    assert reason["advice"], "it says what to do"
    expect(line).to_contain_text(reason["advice"])
    line.get_by_role("link").first.click()
    page.wait_for_url(re.compile(rf"/devices/{silent}/stubs/{epoch}$"))
    expect(page.get_by_role("heading", name=re.compile("Why was nothing paid"))).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text=reason["text"])).to_contain_text(reason["advice"])
