"""The pages in a real browser, on a phone and on a desk, in light and dark, with and without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from coordinator.web.app import make_app
from tests.parts import require_chromium
from tests.web.fakes import BEACON_TIME, FakeReader, FakeSubmit, World, world
from tests.web.serving import Client, serving

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGS += ["--disable-component-update", "--disable-sync"]
SCREENS = {"phone": (390, 844), "desk": (1280, 900)}


@pytest.fixture(scope="module")
def shown() -> World:
    return world(devices=30, closed=18)


@pytest.fixture(scope="module")
def client(shown: World) -> Iterator[Client]:
    with serving(make_app(FakeReader(shown), FakeSubmit(), now=lambda: BEACON_TIME + 3)) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = require_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(("scheme", "javascript"), [("light", True), ("dark", False)])
def test_pages_fit_and_break_no_rule(
    browser: Browser, client: Client, shown: World, tmp_path: Path, screen: str, scheme: str, javascript: bool
) -> None:
    devices = list(shown.devices)
    targets = {
        "network": "/",
        "devices": "/devices",
        "quarantined": f"/devices/{devices[2].hex()}",
        "unpaid": f"/devices/{devices[1].hex()}",
        "open": f"/devices/{devices[0].hex()}?epoch={shown.network.epoch}",
        "owner": f"/owners/{shown.devices[devices[0]].owner.hex()}",
        "batch": "/batches/2",
        "batch without timings": "/batches/1",
        "search": "/search?q=hello",
        "flash": "/flash",
        "map": "/map",
        "uptime": "/uptime",
        "epochs": "/epochs",
    }
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=javascript
    )
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for name, target in targets.items():
        page.goto(client.url + target)
        assert page.locator("h1").is_visible()
        box = page.locator("body").bounding_box()
        assert box is not None
        assert box["width"] <= width
        if javascript:
            assert page.evaluate("document.documentElement.scrollWidth") <= width, target
            rules = page.evaluate("[...document.styleSheets].map(sheet => sheet.cssRules.length)")
            assert rules[0] > 50 and all(rules)
        page.screenshot(path=tmp_path / f"{name}-{screen}-{scheme}.png", full_page=True)
    context.close()
    assert said == []
    assert all(url.startswith(client.url) for url in asked)


@pytest.mark.parametrize(("index", "words"), [(1, "Why was nothing paid"), (2, "In quarantine")])
def test_the_answer_stands_above_the_fold(
    browser: Browser, client: Client, shown: World, index: int, words: str
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(f"{client.url}/devices/{list(shown.devices)[index].hex()}")
    for part in (page.get_by_text(words).first, page.locator(".summary"), page.locator(".reasons li").first):
        box = part.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 844
    page.close()


def test_search_by_hand(browser: Browser, client: Client, shown: World) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(client.url)
    device = list(shown.devices)[5].hex()
    page.get_by_role("searchbox").fill(device)
    page.get_by_role("button", name="Find").click()
    page.wait_for_url(f"**/devices/{device}")
    assert page.locator("h1").inner_text() == device
    page.close()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Browser, client: Client) -> None:
    page = browser.new_page()
    page.goto(client.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.close()
