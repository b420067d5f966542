"""The pages: every number is the reader's, nothing comes from elsewhere, and small."""

import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from coordinator.kernel import reasons
from coordinator.kernel.amounts import AMOUNT_MAX, TOKEN, tokens
from coordinator.web import templating, words
from coordinator.web.app import make_app
from coordinator.web.headers import SECURITY
from device_client.core import verdicts
from tests.web.document import Document, targets
from tests.web.fakes import FakeReader, FakeSubmit, World, world
from tests.web.serving import Client, serving

PAGE_BYTES_MAX = 150_000


def test_every_page_is_whole_strict_and_small(client: Client, shown: World) -> None:
    for target in targets(shown):
        answer = client.page(target)
        assert answer.type == "text/html", target
        assert len(answer.body) < PAGE_BYTES_MAX
        for name, value in SECURITY.items():
            assert answer.headers[name] == value
        document = Document(answer)
        assert ("html", {"lang": "en"}) in document.tags
        assert [tag for tag, _ in document.tags].count("h1") == 1
        for tag, attrs in document.tags:
            assert tag not in ("style", "iframe", "base", "object")
            if tag == "script":
                assert (attrs.get("src") or "").startswith("/static/"), target
            assert "style" not in attrs
            assert not any(name.startswith("on") for name in attrs)
            for name in ("href", "src", "action"):
                assert (attrs.get(name) or "/").startswith(("/", "?", "#"))
                assert not (attrs.get(name) or "").startswith("//")
        for needle in ("style=", "http:", "https:"):
            assert needle not in answer.text, target
        for tag, attrs in document.tags:
            if tag == "svg":
                assert attrs["role"] == "img"
                assert attrs["aria-label"]
        assert answer.text.count("<svg") == answer.text.count("<desc>")


def test_links_of_the_pages_lead_somewhere(client: Client, shown: World) -> None:
    found = set()
    for target in targets(shown):
        for tag, attrs in Document(client.page(target)).tags:
            href = attrs.get("href") or ""
            if tag in ("a", "link") and not href.startswith("#"):
                found.add(target.split("?")[0] + href if href.startswith("?") else href)
    # Proofs need a log, which the fake has not: tests/web/test_stub.py follows them on a real network.
    for href in found - {each for each in found if "epoch=99" in each or "/nothing" in each or "/proof?" in each}:
        assert client.page(href.split("#")[0]).status == 200, href


def test_amounts_are_exact_in_value_and_text(client: Client, shown: World) -> None:
    for target in targets(shown):
        for kind, value, text in Document(client.page(target)).data:
            if kind.startswith("amount"):
                assert text == (tokens(value) if value else "0")
            elif kind == "estimate":
                assert text.startswith("≈ ")
                assert abs(Decimal(text[2:].replace(",", "")) * TOKEN - value) < TOKEN
            else:
                assert int(text.replace(",", "")) == value


def test_network_page_shows_the_readers_numbers(client: Client, shown: World) -> None:
    document = Document(client.page("/"))
    closed = [each for each in shown.epochs if each.closed]
    expected = [shown.network.paid, shown.network.treasury, max(each.emission for each in closed)]
    for epoch in reversed(closed):
        expected += [epoch.emission, epoch.paid, epoch.treasury]
    for _, view in sorted(shown.devices.items()):
        expected += [view.paid, view.withheld]
    expected += [each.paid for each in shown.owners()]
    assert document.amounts == expected
    numbers = [value for kind, value, _ in document.data if kind == "number"]
    for value in (shown.network.devices, shown.network.statements, *shown.network.refusals.values()):
        assert value in numbers
    for reason in shown.network.refusals:
        assert words.refusal(reason) in document.text
    assert shown.network.name in document.text
    assert "does not add up" not in document.text


def test_an_epoch_that_does_not_add_up_is_called_out() -> None:
    wrong = world(devices=3, closed=2)
    wrong.epochs[0] = wrong.epochs[0]._replace(treasury=1)
    with serving(make_app(FakeReader(wrong), FakeSubmit())) as client:
        assert Document(client.page("/")).text.count("does not add up") == 1


def test_device_page_shows_what_it_says_about_itself(client: Client, shown: World) -> None:
    for device, view in shown.devices.items():
        document = Document(client.page(f"/devices/{device.hex()}"))
        assert ("What it says about itself" in document.text) == bool(view.notices)
        assert all(one.text in document.text for one in view.notices)
    assert sum(len(view.notices) for view in shown.devices.values()) == 1


def test_device_page_shows_the_readers_numbers(client: Client, shown: World) -> None:
    for device, view in shown.devices.items():
        document = Document(client.page(f"/devices/{device.hex()}"))
        payouts = [rows[list(shown.devices).index(device)] for _, rows in sorted(shown.payouts.items(), reverse=True)]
        table = []
        for row in payouts:
            table += [row.presence, row.sensing, row.owner_cap, row.paid, row.withheld, row.released]
        assert document.amounts[-len(table) :] == table
        assert view.paid in document.amounts
        for row in payouts:
            assert row.paid == row.presence + row.sensing - row.owner_cap


def test_device_page_answers_why_before_anything_else(client: Client, shown: World) -> None:
    for device, view in shown.devices.items():
        for number in range(shown.network.epoch + 1):
            answer = client.page(f"/devices/{device.hex()}?epoch={number}")
            text = Document(answer).text
            expected = shown.explanations[device, number]
            assert expected.summary in text
            assert all(line in text for line in expected.derivation)
            assert ("The sum, in base units" in text) == bool(expected.derivation)
            for reason in expected.reasons:
                assert reason.text in text
                assert reason.advice in text
            assert text.index(expected.summary) < text.index("Paid so far")
            nothing = expected.payout is not None and expected.payout.paid == 0
            assert ("Why was nothing paid" in text) == nothing
        if view.standing == "quarantined":
            assert text.index("In quarantine: contradicts an earlier statement") < text.index(expected.summary)


def test_owner_page_shows_the_readers_numbers_and_the_cap(client: Client, shown: World) -> None:
    for view in shown.owners():
        document = Document(client.page(f"/owners/{view.account.hex()}"))
        assert document.amounts[:3] == [view.balance, view.paid, view.withheld]
        assert ("owner_cap" in document.text) == bool(view.capped_epochs)
        paid = [sum(row.paid for row in rows if row.owner == view.account) for rows in shown.payouts.values()]
        assert set(paid) <= set(document.amounts)


def test_private_readings_stay_private(client: Client, shown: World) -> None:
    device = next(each.device for each in shown.devices.values() if not each.readings_public)
    answer = client.page(f"/devices/{device.hex()}")
    assert "readings are private" in answer.text
    assert 'class="line"' not in answer.text


def test_a_large_network_stays_small_on_the_first_page() -> None:
    large = world(devices=700, closed=60)
    device, owner = next(iter(large.devices)).hex(), large.owners()[0].account.hex()
    with serving(make_app(FakeReader(large), FakeSubmit())) as client:
        for target in ("/", "/devices", f"/devices/{device}", f"/owners/{owner}"):
            assert len(client.page(target).body) < PAGE_BYTES_MAX, target


@given(value=st.integers(-AMOUNT_MAX, AMOUNT_MAX))
def test_an_amount_reads_as_its_tokens(value: int) -> None:
    text = re.sub(r"<[^>]*>", "", str(templating.amount(value)))
    assert text == (tokens(value) if value else "0")


def test_every_reason_of_a_quarantine_has_words() -> None:
    assert list(words.QUARANTINES) == list(reasons.QUARANTINE.values())


def test_every_verdict_has_words() -> None:
    for code, name in verdicts.NAMES.items():
        if code != verdicts.OK:
            assert words.refusal(name) == words.REFUSALS[name]
