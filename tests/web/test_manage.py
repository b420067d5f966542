"""`/owners/{id}/manage` in a real Chromium against a real coordinator: the owner signs in the browser, the network
executes, and the key is in no request."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nacl.signing
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect

from device_client.core import cbor, cose
from device_client.owner_signing import rotate_body
from tests.web.chromium import launched
from tests.web.living import OWNER, Living, living

BOB = "ab" * 16
SEED = bytes(nacl.signing.SigningKey(OWNER))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("manage") / "net", devices=4) as found:
        yield found.enrolled().live(6)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


class Sitting:
    """An owner before the page with the key chosen; every request is kept."""

    def __init__(self, there: Living, page: Page, folder: Path) -> None:
        self.there, self.page, self.folder = there, page, folder
        self.requests: list[Request] = []
        self.said: list[str] = []
        page.on("request", lambda request: self.requests.append(request))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(f"{there.client.url}/owners/{there.account.hex()}/manage")

    def key(self, seed: bytes, name: str = "alice.key") -> str:
        self.page.get_by_label("The file of the account's key").set_input_files(self.file(name, seed))
        expect(self.page.locator("#key-said")).not_to_be_empty()
        return self.page.locator("#key-said").inner_text()

    def file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def fill(self, form: str, **fields: Any) -> None:
        """Fill a form and ask to read it."""
        where = self.page.locator(f"form[data-say={form}]")
        for name, value in fields.items():
            field = where.locator(f"[name={name}]")
            if isinstance(value, Path):
                field.set_input_files(value)
            else:
                field.fill(value)
        where.get_by_role("button", name="Read it, then sign").click()

    def signed(self) -> str:
        """Sign what is shown, let a batch execute it, and read the answer."""
        self.page.get_by_role("button", name="Sign and send").click()
        expect(self.page.locator("#answer")).to_have_text(re.compile("waits"))
        self.there.beacons(1)
        expect(self.page.locator("#answer")).to_have_text(re.compile("Done|Refused"))
        return self.page.locator("#answer").inner_text()

    def words(self) -> str:
        expect(self.page.locator("#review")).to_be_visible()
        return self.page.locator("#review-words").inner_text()

    def unusable(self) -> str:
        expect(self.page.locator("#answer")).not_to_be_empty()
        return self.page.locator("#answer").inner_text()

    def device(self, at: int) -> Any:
        return self.there.client.get(f"/api/v1/devices/{self.there.hands[at].id.hex()}").json


@pytest.fixture
def sitting(there: Living, browser: Browser, tmp_path: Path) -> Iterator[Sitting]:
    context = browser.new_context()
    sitting = Sitting(there, context.new_page(), tmp_path)
    yield sitting
    assert sitting.said == []
    leaked = (SEED, SEED.hex().encode(), base64.b64encode(SEED)[:-1], base64.urlsafe_b64encode(SEED)[:-1])
    for request in sitting.requests:
        assert request.url.startswith(there.client.url)
        sent = request.url.encode() + (request.post_data_buffer or b"") + repr(request.all_headers()).encode()
        assert not any(form in sent for form in leaked), request.url
    context.close()


def test_tokens_move_by_a_message_that_the_owner_has_read(there: Living, sitting: Sitting) -> None:
    before = there.client.get(f"/api/v1/accounts/{there.account.hex()}").json["balance"]
    assert "signs nothing before you have read what" in sitting.key(SEED)
    sitting.fill("transfer", to=BOB, amount="12.5")
    assert sitting.words() == f"Move 12.500000000 tokens to the account {BOB}. They cannot be brought back."
    assert there.net.genesis.hash.hex() in sitting.page.locator("#review-facts").inner_text()
    assert not [one for one in sitting.requests if one.method == "POST"]
    assert sitting.signed().startswith("Done: executed in batch ")
    assert there.client.get(f"/api/v1/accounts/{BOB}").json["balance"] == 12_500_000_000
    posts = [one for one in sitting.requests if one.method == "POST"]
    assert [one.url for one in posts] == [f"{there.client.url}/api/v1/owner"]
    envelope = cose.unwrap(posts[0].post_data_buffer or b"")
    assert envelope.kid == there.account and cbor.decode(envelope.payload)[0] == 4  # type: ignore[index]
    sitting.fill("transfer", to=BOB, amount=f"{before // 10**9 + 10**6}")
    sitting.words()
    answer = sitting.signed()
    assert answer.startswith("Refused in batch") and "insufficient_balance" in answer
    sitting.page.get_by_role("button", name="Forget the key").click()
    assert sitting.page.locator("form[data-say=transfer] button").is_disabled()


def test_a_device_gets_another_key_by_its_offer_or_by_the_key_itself(there: Living, sitting: Sitting) -> None:
    hand, fresh = there.hands[1], nacl.signing.SigningKey.generate()
    sitting.key(SEED)
    offer = cbor.encode(rotate_body(fresh, there.net.genesis.hash, hand.id))
    sitting.fill("rotate", device=hand.id.hex(), file=sitting.file("new.offer", offer))
    assert bytes(fresh.verify_key).hex() in sitting.words()
    assert sitting.signed().startswith("Done")
    assert sitting.device(1)["public_key"] == bytes(fresh.verify_key).hex()
    another = nacl.signing.SigningKey.generate()
    sitting.fill("rotate", device=hand.id.hex(), file=sitting.file("device.key.next", bytes(another)))
    sitting.words()
    assert sitting.signed().startswith("Done")
    assert sitting.device(1)["public_key"] == bytes(another.verify_key).hex()
    for name, data, told in (
        ("a", offer[:-1] + bytes([offer[-1] ^ 1]), "did not agree"),
        ("b", cbor.encode(rotate_body(fresh, bytes(32), hand.id)), "did not agree"),
        ("c", cbor.encode(rotate_body(fresh, there.net.genesis.hash, there.hands[0].id)), "of another device"),
        ("d", bytes(31), "neither an offer"),
        ("e", bytes(1000), "neither an offer"),
    ):
        sitting.fill("rotate", device=hand.id.hex(), file=sitting.file(name, data))
        assert told in sitting.unusable()
        assert sitting.page.locator("#review").is_hidden()


def test_a_device_is_replaced_ended_and_given_away(there: Living, sitting: Sitting) -> None:
    old, new, lost, given = there.hands[1], there.hands[0], there.hands[2], there.hands[3]
    sitting.key(SEED)
    sitting.fill("replace", device=old.id.hex(), by=new.id.hex())
    assert "cannot be undone" in sitting.words()
    sitting.page.get_by_role("button", name="Do not").click()
    assert not [one for one in sitting.requests if one.method == "POST"]
    sitting.fill("replace", device=old.id.hex(), by=new.id.hex())
    sitting.words()
    assert sitting.signed().startswith("Done") and sitting.device(1)["standing"] == "revoked"
    sitting.fill("revoke", device=lost.id.hex())
    assert "cannot be undone" in sitting.words()
    assert sitting.signed().startswith("Done") and sitting.device(2)["standing"] == "revoked"
    sitting.fill("device_transfer", device=given.id.hex(), to=BOB)
    sitting.words()
    assert sitting.signed().startswith("Done") and sitting.device(3)["owner"] == BOB
    sitting.fill("revoke", device=given.id.hex())
    sitting.words()
    assert (
        "belongs to another account" in sitting.signed() or "not_owner" in sitting.page.locator("#answer").inner_text()
    )


def test_readings_are_switched_private_and_public_again(there: Living, sitting: Sitting) -> None:
    sitting.key(SEED)
    for choice, public in (("private", False), ("public", True)):
        sitting.page.locator("#readings-public").select_option(label=choice)
        sitting.fill("readings", device=there.hands[0].id.hex())
        assert sitting.words().endswith(f"are {choice}.")
        assert sitting.signed().startswith("Done")
        assert sitting.device(0)["readings_public"] is public


def test_what_is_no_key_of_the_account_signs_nothing(sitting: Sitting) -> None:
    assert "does not sign for this account" in sitting.key(bytes(range(32)), "another.key")
    assert "a key has 32 bytes" in sitting.key(bytes(33), "long.key")
    assert sitting.page.locator("form[data-say=transfer] button").is_disabled()


def test_amounts_are_exact_or_refused(sitting: Sitting) -> None:
    sitting.key(SEED)
    sitting.fill("transfer", to=BOB, amount="0.000000001")
    assert "Move 0.000000001 tokens" in sitting.words()
    for amount in ("0", "9999999999.999999999"):
        sitting.fill("transfer", to=BOB, amount=amount)
        assert f"{amount} is not a number of tokens" in sitting.unusable()
    sitting.page.locator("#transfer-amount").fill("1e3")
    assert not sitting.page.locator("#transfer-amount").evaluate("field => field.checkValidity()")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_it_fits_and_axe_finds_nothing(
    there: Living, browser: Browser, tmp_path: Path, width: int, scheme: Any
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    sitting = Sitting(there, context.new_page(), tmp_path)
    sitting.key(SEED)
    sitting.fill("transfer", to=BOB, amount="1")
    sitting.words()
    assert sitting.page.evaluate("document.documentElement.scrollWidth") <= width
    sitting.page.screenshot(path=tmp_path / f"manage-{width}-{scheme}.png", full_page=True)
    found = Axe().run(sitting.page)
    assert found.violations_count == 0, found.generate_report()
    context.close()


def test_without_javascript_each_form_names_its_command(there: Living, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{there.client.url}/owners/{there.account.hex()}/manage")
    text = page.locator("main").inner_text()
    assert "JavaScript is off" in text
    html = page.content()
    for command in ("transfer ACCOUNT", "transfer-device", "rotate DEVICE", "replace OLD NEW", "revoke DEVICE"):
        assert f"edgetally owner {command}" in html
    assert page.locator("form.say button").evaluate_all("all => all.every(one => one.disabled)")
    context.close()


def test_an_account_that_nobody_knows_has_no_page(there: Living) -> None:
    assert there.client.page(f"/owners/{'0' * 32}/manage").status == 404
