"""Every page in a real Chromium, on a phone and a desk, light and dark, with scripts and without.

`EDGETALLY_PICTURES=1` (`make pictures`) also writes a picture of each to docs/pages/.
"""

import os
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageChops
from playwright.sync_api import Browser, BrowserContext, Page, Request

from coordinator.kernel.access import OPERATOR, OWNER
from tests.docs.routes import routes
from tests.parts import ROOT
from tests.web.chromium import launched
from tests.web.every_page import ABOUT, OFFLINE, OTHERS, Subject, subjects
from tests.web.fakes import world
from tests.web.people import Inn, inn

PICTURES = ROOT / "docs/pages"
DRAWS = os.environ.get("EDGETALLY_PICTURES") == "1"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
BYTES_MAX = 150_000
KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
NAMES = list(ABOUT)
SEEN_FROM = 8  # of 255, between two pictures


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    shown = world(devices=12, closed=14)
    with inn(tmp_path_factory.mktemp("inn"), shown=shown, live_max=100) as made:
        body = {"owner": KEY, "devices": 3, "last_epoch": 9, "reason": "a <b>new</b> roof"}
        assert made.session(OPERATOR).post("/operator/tokens", "/account", **body).status == 303
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def subject(house: Inn) -> dict[str, Subject]:
    return {one.name: one for one in subjects(house)}


@pytest.fixture(scope="module")
def secrets(house: Inn) -> dict[str, str]:
    """Of a session, by role."""
    account = next(iter(house.shown.devices.values())).owner
    people = {OWNER: account, OPERATOR: b""}
    return {role: house.session(role, whose).cookies["edgetally"] for role, whose in people.items()}


def entered(
    browser: Browser, house: Inn, one: Subject, secrets: dict[str, str], scripts: bool = True
) -> BrowserContext:
    context = browser.new_context(viewport=PHONE, java_script_enabled=scripts, color_scheme="light")
    if one.role:
        context.add_cookies([{"name": "edgetally", "value": secrets[one.role], "url": house.client.url}])
    return context


MOVES = re.compile(r"^(Live: the numbers move by themselves\.|Network beacon \d+, .* ago)$")  # by a script, and says so


def text_of(page: Page) -> list[str]:
    """Lines that stand in the page, without what moves by itself."""
    lines = [re.sub(r"\s+", " ", line).strip() for line in page.locator("main").inner_text().splitlines()]
    return [line for line in lines if line and not MOVES.match(line)]


# The document, and text that runs out of its box over its neighbour; what scrolls by itself may be wider, and so may
# the marks over the narrow columns of the uptime, which have empty neighbours.
SPILLS = """() => {
  const boxes = "html, h1, h2, h3, p, li, dt, dd, th, td, label, button, legend, summary";
  const visible = (one) => getComputedStyle(one).overflowX === "visible" && one.clientWidth > 1;
  return [...document.querySelectorAll(boxes)]
    .filter((one) => visible(one) && one.scrollWidth > one.clientWidth + 1)
    .filter((one) => !one.querySelector(".scroll") && !one.matches(".mark"))
    .map((one) => `${one.tagName} of ${one.clientWidth}: ${one.innerText.slice(0, 60)}`);
}"""


def spills(page: Page) -> list[str]:
    return list(page.evaluate(SPILLS))


def test_no_page_is_forgotten(subject: dict[str, Subject]) -> None:
    pages = {path for method, path in routes() if method == "GET" and not path.startswith("/api/v1")}
    assert {one.route for one in subject.values()} == pages - OTHERS
    assert list(subject) == NAMES


def test_the_pictures_are_those_of_the_pages() -> None:
    wanted = {f"{name}-{where}.png" for name in NAMES for where in ("phone", "desk")}
    assert {path.name for path in PICTURES.glob("*.png")} == wanted, "make pictures"
    shown = (ROOT / "docs/guides/pages.md").read_text()
    assert set(re.findall(r"\.\./pages/([\w-]+\.png)", shown)) == wanted


def test_what_is_left_out_is_no_page(house: Inn, secrets: dict[str, str]) -> None:
    operator = house.session(OPERATOR)
    values = {"{number}": "1", "{name}": "index.json", "{board}": "esp32-devkitc", "{part}": "app.bin"}
    for route in OTHERS - {OFFLINE}:
        for name, value in values.items():
            route = route.replace(name, value)
        answer = operator("GET", route, Accept="*/*")
        assert answer.type != "text/html", route


@pytest.mark.parametrize("path", ["/devices/" + "0" * 32, "/epochs/nine", OFFLINE])
def test_pages_without_a_picture_are_judged_too(browser: Browser, house: Inn, tmp_path: Path, path: str) -> None:
    """What says that something is wrong, and the file that people keep on their disk."""
    kept, url = tmp_path / "offline.html", house.client.url + path
    if path == OFFLINE:
        kept.write_bytes(house.client("GET", path).body)
        url = kept.as_uri()
    with browser.new_context(viewport=PHONE) as context:
        page = context.new_page()
        page.goto(url)
        assert page.locator("h1").is_visible()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page)
            assert found.response["violations"] == [], (scheme, told(found.response["violations"]))
        assert spills(page) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page(browser: Browser, house: Inn, subject: dict[str, Subject], secrets: dict[str, str], name: str) -> None:
    one = subject[name]
    said: list[str] = []
    finished: list[Request] = []
    with entered(browser, house, one, secrets) as context:
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfinished", lambda request: finished.append(request))
        answer = page.goto(house.client.url + one.path)
        assert answer is not None and answer.status == 200, answer
        page.wait_for_load_state("load")
        # Asked after the load, not in the listener: there the answer comes when nobody looks any more.
        sizes = {request.url: request.sizes()["responseBodySize"] for request in finished}
        assert any("style.css" in url for url in sizes) and answer.url in sizes, sizes
        assert all(sizes.values()) and sum(sizes.values()) <= BYTES_MAX, sizes
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page)
            assert found.response["violations"] == [], (scheme, told(found.response["violations"]))
        page.emulate_media(color_scheme="light")
        assert spills(page) == [], "on a phone"
        with_scripts = text_of(page)
        if DRAWS:
            draw(page, name, "phone")
        page.set_viewport_size(DESK)
        assert spills(page) == [], "on a desk"
        if DRAWS:
            draw(page, name, "desk")
        assert said == []
    with entered(browser, house, one, secrets, scripts=False) as context:
        page = context.new_page()
        page.goto(house.client.url + one.path)
        without_scripts = text_of(page)
        missing = set(with_scripts) - set(without_scripts)
        assert not missing, f"what stands in the page only with scripts: {missing}"
        # What only a script can do has no other way than to say so.
        dead = page.locator("main :is(button, input, select):disabled").count()
        assert not dead or any("JavaScript" in line for line in without_scripts), "controls that are dead, and no word"


def told(violations: list[Any]) -> list[tuple[str, str]]:
    return [(rule["id"], node["html"]) for rule in violations for node in rule["nodes"]]


# What differs from run to run: the port of the server, and the seconds since the newest beacon.
STEADY = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    node.data = node.data.replaceAll(`:${location.port}`, ":8080");
    if (node.parentElement.matches("[data-live=silence]")) node.data = "3 s";
  }
}"""


def draw(page: Page, name: str, where: str) -> None:
    """In 64 colours: a third of the bytes, and nobody sees it. A picture that looks as before stays as it is: the
    browser rounds a corner's shade now up, now down."""
    PICTURES.mkdir(exist_ok=True)
    page.evaluate(STEADY)
    taken = Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB").quantize(64)
    path = PICTURES / f"{name}-{where}.png"
    if path.exists():
        before = Image.open(path)
        if before.size == taken.size:
            extrema = ImageChops.difference(before.convert("RGB"), taken.convert("RGB")).getextrema()
            if max(most for _, most in extrema) <= SEEN_FROM:
                return
    taken.save(path, optimize=True)
