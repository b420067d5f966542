"""The operator's pages at a real coordinator: hold a device back, hear its owner, pay once."""

import asyncio
import html
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from coordinator.engine.audit import Auditor
from coordinator.store.folders import FolderArchive
from tests.cli.inside import edgetally
from tests.store.driven import Driven, driven
from tests.store.test_operating import World

from .test_sign_in import Browser

HOSTILE = "<script>alert(1)</script> '; DROP TABLE devices; -- =cmd|' /C calc'!A0"
AT_ONCE = 4
Found = dict[str, Any]


def form(browser: Browser, page: str, action: str, fields: Found) -> tuple[int, str, str]:
    """Send a form of a page without being sure, then with."""
    browser(page)
    status, where, text = browser(action, fields)
    if status != 200:
        return status, where, text
    return sure(browser, page, action, fields)


def sure(browser: Browser, page: str, action: str, fields: Found) -> tuple[int, str, str]:
    browser(page)
    return browser(action, {**fields, "sure": "yes"})


async def lived(world: World) -> None:
    async with driven(world.net) as at:
        await at.beacons(2)
        for hand in world.hands:
            await at.enrol(hand)
        await world.on(at, 10)
        browser = Browser(world.net.http_port)
        asked = ("--role", "operator", "--name", "o", "--config", world.net.config)
        link = (await asyncio.to_thread(edgetally, "access", "invite", *asked)).stdout.strip()
        await asyncio.to_thread(browser.follow, link)
        await held_back(world, at, browser)
        await paid(world, at, browser)


async def held_back(world: World, at: Driven, browser: Browser) -> None:
    found, case = world.found, f"/operator/devices/{world.device}"
    epoch = (await world.get("network"))["epoch"]
    said = {"reason": "cluster", "evidence": HOSTILE, "last_epoch": epoch + 99}
    found["too far"] = await asyncio.to_thread(form, browser, case, f"{case}/quarantine", said)
    said["last_epoch"] = epoch + 3
    found["asked first"] = await asyncio.to_thread(browser, f"{case}/quarantine", said)
    found["nothing yet"] = await world.get("quarantines")
    found["held"] = await asyncio.to_thread(form, browser, case, f"{case}/quarantine", said)
    found["waits"] = await asyncio.to_thread(browser, found["held"][1])
    await world.on(at, 1)
    found["stands"] = await asyncio.to_thread(browser, found["held"][1])
    found["open"] = await world.get("quarantines")
    found["why"] = html.unescape((await asyncio.to_thread(browser, f"/devices/{world.device}"))[2])
    words = "It stands alone. <b>Come & see.</b>"
    await world.owner("appeal", world.device, "--text", words)
    await world.on(at, 1)
    found["appeals"] = await asyncio.to_thread(browser, "/operator/appeals")
    said = {"reason": "appeal_upheld", "evidence": "seen on site"}
    found["lifted"] = await asyncio.to_thread(form, browser, case, f"{case}/lift", said)
    await world.on(at, 6)
    found["after"] = await world.get(f"devices/{world.device}")
    found["history"] = (await asyncio.to_thread(browser, case))[2]
    said = {"reason": "outage", "epoch": 1, "amount": "0.5", "note": ""}
    found["corrected"] = await asyncio.to_thread(form, browser, case, f"{case}/correct", said)
    await world.on(at, 1)
    found["corrections"] = await world.get(f"devices/{world.device}/corrections?epoch=1")


async def paid(world: World, at: Driven, browser: Browser) -> None:
    found, page = world.found, f"/operator/payouts/{world.account}"
    said = {"amount": "1.25", "reference": "bank 17", "note": ""}
    found["too much"] = await asyncio.to_thread(form, browser, page, page, {**said, "amount": "99999999"})
    found["no number"] = await asyncio.to_thread(form, browser, page, page, {**said, "amount": "1,25"})
    await asyncio.to_thread(browser, page)

    def at_once() -> list[Any]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = [threads.submit(sure, _again(browser), page, page, said) for _ in range(AT_ONCE)]
            return [one.result() for one in asked]

    found["at once"] = await asyncio.to_thread(at_once)
    await world.on(at, 1)
    found["verdicts"] = [await asyncio.to_thread(browser, one[1]) for one in found["at once"] if one[0] == 303]
    found["third time"] = await asyncio.to_thread(form, browser, page, page, said)
    await at.beacons(1)
    found["settlements"] = (await world.get(f"owners/{world.account}/settlements"))["settlements"]
    found["page"] = (await asyncio.to_thread(browser, page))[2]
    found["csv"] = (await asyncio.to_thread(browser, "/operator/payouts.csv"))[2]
    found["owner"] = await world.get(f"owners/{world.account}")


def _again(browser: Browser) -> Browser:
    """Another tab of the same browser."""
    tab = Browser(browser.port)
    tab.cookies = dict(browser.cookies)
    return tab


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("page"))
    asyncio.run(lived(made))
    return made


def test_nothing_happens_before_it_is_confirmed(world: World) -> None:
    found = world.found
    status, _, text = found["too far"]
    assert status == 400 and 'aria-invalid="true"' in text and "Last epoch must be one of" in text
    status, _, text = found["asked first"]
    assert status == 200 and "Hold this device back?" in text and "Yes, do it" in text
    assert found["nothing yet"]["quarantines"] == []


def test_a_device_is_held_back_and_everybody_reads_why(world: World) -> None:
    found = world.found
    status, where, _ = found["held"]
    assert status == 303 and where.startswith(f"/operator/devices/{world.device}?message=")
    assert "It waits for the next batch." in found["waits"][2] and "Done, in batch" in found["stands"][2]
    (held,) = found["open"]["quarantines"]
    assert held["device"] == world.device and held["reason"] == "cluster"
    assert "In quarantine: it behaves as one with many other devices" in found["why"]


def test_what_is_typed_stays_text(world: World) -> None:
    page = world.found["stands"][2]
    assert "<script>alert" not in page and HOSTILE in html.unescape(page)
    assert "&lt;b&gt;Come &amp; see.&lt;/b&gt;" in world.found["appeals"][2]


def test_an_appeal_is_answered(world: World) -> None:
    assert world.found["lifted"][0] == 303
    assert world.found["after"]["standing"] != "quarantined"
    assert "appeal upheld" in world.found["history"] and "No answer yet" not in world.found["history"]


def test_a_correction_is_exact(world: World) -> None:
    assert world.found["corrected"][0] == 303
    (one,) = world.found["corrections"]["corrections"]
    assert (one["amount"], one["reason"], one["account"]) == (500_000_000, "outage", world.account)


def test_a_payment_is_marked_once_however_many_tabs_do_it(world: World) -> None:
    found = world.found
    assert found["too much"][0] == found["no number"][0] == 400
    assert "what the account holds" in html.unescape(found["too much"][2])
    assert "is not a number of tokens" in html.unescape(found["no number"][2])
    assert [one[0] for one in found["at once"]] == [303] * AT_ONCE
    told = ["Done, in batch" in text for _, _, text in found["verdicts"]]
    assert sorted(told) == [False] * (AT_ONCE - 1) + [True]
    assert all("It was refused" in text for (_, _, text), done in zip(found["verdicts"], told, strict=True) if not done)
    assert found["third time"][0] == 400 and "is settled already" in found["third time"][2]
    assert [one["amount"] for one in found["settlements"]] == [found["owner"]["settled"]] == [1_250_000_000]
    assert "bank 17" in found["page"]


def test_the_file_says_what_the_page_and_the_api_say(world: World) -> None:
    head, *rows = world.found["csv"].splitlines()
    named = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    (mine,) = [row for row in named if row["account"] == world.account]
    owner = world.found["owner"]
    assert mine["amount"] == str(owner["balance"]) and mine["settled_tokens"] == "1.250000000"


def test_a_stranger_agrees(world: World) -> None:
    assert Auditor(FolderArchive(world.net.home.root)).run(world.net.genesis.hash).batches > 0
