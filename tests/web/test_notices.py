"""The link at the end of a notice ends them, without a login and only for its own contact."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from coordinator.settle.telling import stop_code
from coordinator.store.access import AccessStore
from coordinator.store.contacts import Contacts
from tests.web.people import Clock, Inn
from tests.web.test_exports import Shown, lived


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with lived(tmp_path_factory.mktemp("notices")) as made:
        yield made


def inn(shown: Shown) -> Inn:
    nothing: Any = None
    return Inn(shown.http, shown.net.home, Clock(int(time.time())), nothing, nothing, nothing, nothing)


def contact(shown: Shown, address: str) -> tuple[int, str]:
    """A contact of the owner, and the code of its notices."""

    async def made() -> tuple[int, str]:
        store = AccessStore.at(shown.net.home.store("access"))
        try:
            person = await store.person("owner", shown.owner, "", 1)
            kind = "webhook" if address.startswith("http") else "email"
            number = await Contacts(store.engine).add(person, kind, address, frozenset({"paid"}), 1)
            return number, stop_code(await store.seed("notices"), number)
        finally:
            await store.close()

    return asyncio.run(made())


def contacts(shown: Shown) -> list[str]:
    async def found() -> list[str]:
        store = AccessStore.at(shown.net.home.store("access"))
        try:
            return [one.address for one in await Contacts(store.engine).of_account(shown.owner)]
        finally:
            await store.close()

    return asyncio.run(found())


def test_stop(shown: Shown) -> None:
    first, code = contact(shown, "ann@example.org")
    other, _ = contact(shown, "bob@example.org")
    api = "/api/v1/notices/stop"
    for query in (f"?contact={other}&code={code}", f"?contact={first}&code={'0' * 32}", f"?contact={first}&code="):
        assert shown.http("POST", api + query).json["code"] == "not_allowed"
    assert shown.http("POST", api + "?code=x").json["code"] == "bad_query"
    assert contacts(shown) == ["ann@example.org", "bob@example.org"]
    one_click = {"Content_Type": "application/x-www-form-urlencoded"}
    answer = shown.http("POST", f"{api}?contact={first}&code={code}", b"List-Unsubscribe=One-Click", **one_click)
    assert answer.status == 204 and contacts(shown) == ["bob@example.org"]
    assert shown.http("POST", f"{api}?contact={first}&code={code}").status == 204


def test_the_page_asks_first(shown: Shown) -> None:
    house = inn(shown)
    number, code = contact(shown, "cy@example.org")
    guest = house.session("owner", shown.owner)
    page = f"/notices/stop?contact={number}&code={code}"
    assert "No more of these notices?" in guest.page(page).text and "cy@example.org" in contacts(shown)
    answer = guest.post("/notices/stop", page, contact=number, code=code)
    assert answer.status == 200 and "nothing more there" in answer.text
    assert "cy@example.org" not in contacts(shown)


def test_a_webhook_s_secret_is_on_its_owner_s_account(shown: Shown) -> None:
    house = inn(shown)
    contact(shown, "https://hook.example.org/x")
    page = house.session("owner", shown.owner).page("/account").text
    assert re.search(r"signed with <code[^>]*>[0-9a-f]{64}</code>", page)
