"""`/verify` in a real Chromium, against a real coordinator: a sceptic verifies a pay stub, and sees a forgery fail."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from coordinator.engine.bundle_check import STEPS
from coordinator.web.verify_words import STEPS as WORDS
from tests.engine.bundles import BATCHES, CHECKPOINT, KEYS, PAYOUT, changed, flipped
from tests.web.chromium import launched
from tests.web.living import EPOCH, Living, living

SCREENS = {"phone": 360, "desk": 1280}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("verify") / "net") as found:
        yield found.enrolled().live(3 * EPOCH)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(accept_downloads=True)
    yield context.new_page()
    context.close()


def where(there: Living) -> str:
    return f"device={there.hands[0].id.hex()}&epoch=1"


def bundle_of(there: Living) -> bytes:
    return there.client.get(f"/api/v1/devices/{there.hands[0].id.hex()}/bundle?epoch=1").body


def settled(page: Page) -> str:
    """What the result says, once it says it."""
    text = page.locator("#outcome-text")
    expect(text).to_have_text(re.compile("holds|does not hold|no bundle"))
    return text.inner_text()


def verdicts(page: Page) -> dict[str, str]:
    return {name: page.locator(f"#step-{name} .verdict").inner_text() for name in STEPS}


def test_the_steps_are_explained_in_their_order() -> None:
    assert tuple(one.name for one in WORDS) == STEPS
    for one in WORDS:
        assert len(one.checks) + len(one.why) + len(one.not_shown) > 400, one.name


def test_a_sceptic_verifies_a_pay_stub_and_sees_a_forged_one_fail(there: Living, page: Page, tmp_path: Path) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{there.client.url}/devices/{there.hands[0].id.hex()}/stubs/1")
    page.locator("main").get_by_role("link", name=re.compile("verify", re.IGNORECASE)).first.click()
    assert "What is given holds: 7 of 9 steps are ok." in settled(page)
    expected = dict.fromkeys(STEPS, "ok") | {"receipts": "not given", "network": "not given"}
    assert verdicts(page) == expected
    page.get_by_label("genesis hash").fill(there.net.genesis.hash.hex())
    page.keyboard.press("Tab")
    page.wait_for_selector("#step-network[data-verdict=ok]")
    paid = there.client.get(f"/api/v1/devices/{there.hands[0].id.hex()}/stubs/1").json["payout"]["paid_tokens"]
    assert page.locator("#subject-paid").inner_text() == f"{paid} tokens"
    for step, way, change in (
        ("payout", (PAYOUT, 4), lambda row: row[:47] + flipped(row[47:71]) + row[71:]),
        ("statements", (BATCHES, 0, 2, 0, 5, 0, 1), flipped),
        ("batches", (BATCHES, 0, 2, 0, 0), flipped),
        ("headers", (BATCHES, 0, 0), flipped),
        ("log", (BATCHES, 0, 1), flipped),
        ("checkpoint", (CHECKPOINT,), lambda note: note[:-6] + "AAA=\n"),
        ("keys", (KEYS,), flipped),
    ):
        file = tmp_path / f"{step}.bundle"
        file.write_bytes(changed(bundle_of(there), way, change))
        page.get_by_label("A bundle file").set_input_files(file)
        page.wait_for_selector(f"#step-{step}[data-verdict=failed]")
        assert [name for name, verdict in verdicts(page).items() if verdict == "failed"] == [step]
        title = next(one.title for one in WORDS if one.name == step)
        assert settled(page).startswith(f"It does not hold. Failed: {title}. ")
        assert page.locator(f"#step-{step} .problems li").first.is_visible()
        assert page.locator(".step").count() == len(STEPS)
    file = tmp_path / "anything.bundle"
    file.write_bytes(b"anything")
    page.get_by_label("A bundle file").set_input_files(file)
    expect(page.locator("#outcome-text")).to_have_text(re.compile("^This is no bundle"))
    assert set(verdicts(page).values()) == {"not checked"}
    file = tmp_path / "large.bundle"
    file.write_bytes(bytes(3 << 20))
    page.get_by_label("A bundle file").set_input_files(file)
    expect(page.locator("#outcome-text")).to_have_text("This is no bundle. It is too large for a bundle.")
    assert said == []


def test_the_network_of_somebody_else_fails_by_its_hash(there: Living, page: Page) -> None:
    page.goto(f"{there.client.url}/verify?{where(there)}")
    settled(page)
    page.get_by_label("genesis hash").fill("ab" * 32)
    page.keyboard.press("Tab")
    page.wait_for_selector("#step-network[data-verdict=failed]")
    assert "another network than the one" in page.locator("#step-network .problems").inner_text()


def test_the_file_for_offline_use_checks_with_the_network_off(there: Living, browser: Browser, tmp_path: Path) -> None:
    """As a download, opened from the disk: WebCrypto is there, its script runs, and its policy lets nothing out."""
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(f"{there.client.url}/verify?{where(there)}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Keep page and bundle as one file").click()
    kept = tmp_path / "kept.html"
    download.value.save_as(kept)
    context.close()
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(kept.as_uri())
    assert "7 of 9 steps are ok" in settled(page)
    assert page.evaluate("isSecureContext")
    assert asked == [kept.as_uri()]
    assert said == []
    blocked = page.evaluate("fetch('http://127.0.0.1:1/').then(() => 'out', () => 'blocked')")
    assert blocked == "blocked" and any("Content Security Policy" in line for line in said)
    forged = tmp_path / "forged.html"
    forged.write_text(kept.read_text().replace("</script>", "\nalert(1)</script>"))
    page.goto(forged.as_uri())
    assert page.locator("#outcome-text").inner_text() == "Nothing is checked yet."
    context.close()


def test_without_javascript_the_page_explains_and_names_the_command(there: Living, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{there.client.url}/verify?{where(there)}")
    text = page.locator("main").inner_text()
    assert f"edgetally bundle get {there.hands[0].id.hex()} 1 --out mine.bundle --url {there.client.url}" in text
    assert "JavaScript is off" in text
    assert all(" ".join(one.why.split()) in text for one in WORDS if "`" not in one.why)
    context.close()


@pytest.mark.parametrize(("screen", "scheme"), [("phone", "light"), ("phone", "dark"), ("desk", "light")])
def test_it_fits_and_axe_finds_nothing(
    there: Living, browser: Browser, tmp_path: Path, screen: str, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": SCREENS[screen], "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{there.client.url}/verify?{where(there)}")
    settled(page)
    file = tmp_path / "forged.bundle"
    file.write_bytes(changed(bundle_of(there), (BATCHES, 0, 0), flipped))
    page.get_by_label("A bundle file").set_input_files(file)
    page.wait_for_selector("#step-headers[data-verdict=failed]")
    assert page.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen]
    page.screenshot(path=tmp_path / f"verify-{screen}-{scheme}.png", full_page=True)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("device=zz&epoch=1", 400),
        ("device=" + "0" * 32 + "&epoch=1", 404),
        ("epoch=1", 400),
        ("device=" + "0" * 32, 400),
    ],
)
def test_what_cannot_be_checked_is_refused_by_name(there: Living, query: str, status: int) -> None:
    for path in ("/verify", "/verify/offline.html"):
        assert there.client.page(f"{path}?{query}").status == status
