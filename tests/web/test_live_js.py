"""The overview in a real browser while the network goes on."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.chromium import launched
from tests.web.living import EPOCH, Living, living


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("live")) as made:
        yield made.enrolled()


def value(page: Page, name: str) -> str:
    return str(page.locator(f"[data-live={name}] data").first.get_attribute("value"))


def test_numbers_move_by_themselves_and_an_end_is_told(browser: Browser, place: Living) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(place.client.url + "/")
    state = page.locator("[data-live=state]")
    assert state.get_attribute("role") == "status"
    expect(state).to_have_text("Live: the numbers move by themselves.")
    before = int(value(page, "beacon"))
    place.live(2 * EPOCH)
    closed = page.locator("[data-live=closed]")
    expect(closed).to_contain_text("Epoch 0 has closed")
    expect(closed.locator("a")).to_have_attribute("href", "/epochs/0")
    network = place.client.get("/api/v1/network").json
    for name in ("beacon", "statements", "batches", "devices", "paid", "treasury"):
        shown = page.locator(f"[data-live={name}] data").first
        expect(shown).to_have_attribute("value", str(network[name]))
        text = network.get(f"{name}_tokens", f"{network[name]:,}") if network[name] else "0"
        expect(shown).to_have_text(text)
    assert network["beacon"] > before and network["paid"] > 0
    assert said == []
    # The same page, made anew by the server, says the same.
    moved = page.locator("main").inner_text().splitlines()[:12]
    page.reload()
    expect(state).to_have_text("Live: the numbers move by themselves.")
    again = page.locator("main").inner_text().splitlines()
    assert all(line in again or "ago" in line or "has closed" in line for line in moved)
    place.end()
    expect(state).to_contain_text("The connection is gone")
    expect(state).to_contain_text(f"beacon {network['beacon']}")
    page.close()
