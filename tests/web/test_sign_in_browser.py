"""Signing in with a real Chromium: passkeys of its virtual authenticator, a key file, and pages without scripts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from nacl.signing import SigningKey
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page

from coordinator.kernel.access import OPERATOR, OWNER, READER
from device_client.core import cose
from tests.web.chromium import launched
from tests.web.people import Inn, inn

KEY = SigningKey(bytes(range(32)))
ACCOUNT = cose.signer_id(bytes(KEY.verify_key))
PATIENCE_MS = 15_000
OPTIONS = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    with inn(tmp_path_factory.mktemp("inn")) as made:
        made.owners.add(KEY)
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 390, "height": 844})
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()


def base(house: Inn) -> str:
    """A name, because passkeys have one; and `localhost` counts as safe."""
    return f"http://localhost:{house.client.port}"


def authenticator(page: Page) -> tuple[CDPSession, str]:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": OPTIONS})
    return session, str(made["authenticatorId"])


def follow(page: Page, house: Inn, role: str, account: bytes = b"", name: str = "") -> None:
    page.goto(f"{base(house)}/login/link?code={house.link(role, account, name)}")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("You are in.").wait_for()


def with_passkey(page: Page, house: Inn) -> None:
    page.goto(f"{base(house)}/login")
    page.get_by_role("button", name="Sign in with a passkey").click()


def test_a_passkey_is_added_used_and_removed(house: Inn, context: BrowserContext) -> None:
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    session, made = authenticator(page)
    follow(page, house, OPERATOR, name="olga")
    page.get_by_label("Name of a new one").first.fill("My <b>phone")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_text("My <b>phone").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")

    with_passkey(page, house)
    page.wait_for_url("**/operator")
    assert "operator olga" in page.inner_text("main")

    # The same one again is not taken: the browser knows it from the list.
    page.goto(f"{base(house)}/account")
    page.get_by_label("Name of a new one").first.fill("Again")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_text("You can try again").wait_for()

    # A copy whose count stayed behind.
    (held,) = session.send("WebAuthn.getCredentials", {"authenticatorId": made})["credentials"]
    session.send("WebAuthn.removeCredential", {"authenticatorId": made, "credentialId": held["credentialId"]})
    session.send("WebAuthn.addCredential", {"authenticatorId": made, "credential": {**held, "signCount": 0}})
    with_passkey(page, house)
    page.get_by_text("login_failed").wait_for()
    session.send("WebAuthn.removeCredential", {"authenticatorId": made, "credentialId": held["credentialId"]})
    session.send("WebAuthn.addCredential", {"authenticatorId": made, "credential": {**held, "signCount": 90}})
    with_passkey(page, house)
    page.wait_for_url("**/operator")

    page.goto(f"{base(house)}/account")
    page.get_by_role("button", name="Remove the passkey My <b>phone").click()
    page.get_by_text("None yet.").first.wait_for()
    with_passkey(page, house)
    page.get_by_text("login_failed").wait_for()
    assert [text for text in said if "403" not in text] == []


def test_an_answer_is_good_once_and_for_one_browser(house: Inn, context: BrowserContext) -> None:
    page = context.new_page()
    authenticator(page)
    follow(page, house, READER, name="rita")
    page.get_by_label("Name of a new one").first.fill("key")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("button", name="Remove the passkey key").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    sent: list[dict[str, Any]] = []

    def caught(route: Any) -> None:
        sent.append({"body": route.request.post_data, "headers": route.request.headers})
        route.continue_()

    page.route("**/login/passkey", caught)
    visit = {one["name"]: one["value"] for one in context.cookies()}["edgetally-visit"]
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/operator")
    (request,) = sent
    headers = {"Content_Type": request["headers"]["content-type"], "Host": f"localhost:{house.client.port}"}

    def again(cookie: str) -> Any:
        return house.client("POST", "/login/passkey", request["body"].encode(), Cookie=cookie, **headers)

    assert again(f"edgetally-visit={visit}").json["code"] == "login_failed"
    assert again("edgetally-visit=another").json["code"] == "bad_csrf"


def test_the_key_file_signs_in_and_stays_here(house: Inn, context: BrowserContext, tmp_path: Path) -> None:
    file = tmp_path / "alice.key"
    file.write_bytes(bytes(KEY))
    page = context.new_page()
    sent: list[bytes] = []
    page.on("request", lambda request: sent.append(request.post_data_buffer or b""))
    page.goto(f"{base(house)}/login?next=/account")
    page.set_input_files("#file", file)
    page.get_by_role("button", name="Sign in with the key").click()
    page.get_by_text("Signed in as owner").wait_for()
    assert ACCOUNT.hex() in page.inner_text("main")
    everything = b"".join(sent)
    assert everything and not any(text in everything for text in (bytes(KEY), bytes(KEY).hex().encode(), b"alice.key"))


def test_a_wrong_key_file_is_told_before_anything_is_sent(house: Inn, context: BrowserContext, tmp_path: Path) -> None:
    file = tmp_path / "alice.json"
    file.write_bytes(b"{}")
    page = context.new_page()
    page.goto(f"{base(house)}/login")
    page.set_input_files("#file", file)
    page.get_by_role("button", name="Sign in with the key").click()
    page.get_by_text("not a key file of 32 bytes").wait_for()


def test_without_scripts_a_link_signs_in_and_all_but_passkeys_works(house: Inn, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base(house)}/login")
    assert page.get_by_role("button", name="Sign in with a passkey").is_disabled()
    assert page.get_by_text("A passkey needs JavaScript").is_visible()
    follow(page, house, OWNER, ACCOUNT)
    page.locator("#token-name").fill("export")
    page.get_by_role("checkbox", name="read:private").check()
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("[data-made]").inner_text()
    assert house.client("GET", "/api/v1/network", Authorization=f"Bearer {token}").status == 200
    page.get_by_label("E-mail address").fill("alice@tally.example")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Remove alice@tally.example").click()
    page.get_by_text("You are told nothing yet.").wait_for()
    page.get_by_role("button", name="End all of them").click()
    page.wait_for_url("**/login")
    context.close()


def test_under_a_bare_address_the_page_says_that_there_are_no_passkeys(house: Inn, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto(f"{house.client.url}/login")
    assert page.get_by_text("Browsers give passkeys to pages with TLS under a name only").is_visible()
    assert page.get_by_text("edgetally access invite").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_break_no_rule_of_accessibility(house: Inn, browser: Browser, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    follow(page, house, OPERATOR, name="olga")
    page.goto(f"{base(house)}/operator/tokens")
    page.get_by_label("Public key of the owner").fill(bytes(KEY.verify_key).hex())
    page.get_by_label("Why, for the log").fill("a <script> of hers")
    page.get_by_role("button", name="Issue").click()
    page.get_by_alt_text("QR code of the token").wait_for()
    pages = [page.url.removeprefix(base(house)), "/account", "/operator", "/operator/tokens", "/operator/log"]
    for target in [*pages, "/login", f"/login/link?code={'A' * 43}"]:
        page.goto(base(house) + target)
        found = Axe().run(page)
        assert found.violations_count == 0, (target, found.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, target
    page.goto(f"{base(house)}/operator/log?action=token_issued")
    assert "a <script> of hers" in page.inner_text("main")
    context.close()
