"""What a text means: on the page, in the API, and in a real network's log and stores."""

from typing import Any

import pytest

from coordinator.store import search_queries
from coordinator.store.queries import Queries
from tests.web.money import Money
from tests.web.serving import Client
from tests.web.test_api import API, assert_problem


def hits(client: Client, text: str) -> list[dict[str, Any]]:
    answer = client.get(f"{API}/search?q={text}")
    assert answer.status == 200 and answer.json["query"] == text.replace("%20", " ")
    found: list[dict[str, Any]] = answer.json["hits"]
    assert bool(answer.json["missing"]) == (len(found) != 1)
    for hit in found:
        assert client.get(hit["api"]).status == client.page(hit["page"]).status == 200, hit
    if len(found) == 1:
        assert client.page(f"/search?q={text}").headers["Location"] == found[0]["page"]
    return found


def test_devices_and_owners_by_their_beginning(world: Money) -> None:
    device, owner = world.id("bob0").hex(), world.owner["ann"].hex()
    for text, wanted in ((device, "device"), (device[:9].upper(), "device"), (owner, "owner"), (owner[:31], "owner")):
        (hit,) = hits(world.http, text)
        assert (hit["kind"], hit["id"]) == (wanted, device if wanted == "device" else owner)


def test_numbers(world: Money) -> None:
    assert [(hit["kind"], hit["id"]) for hit in hits(world.http, "batch%203")] == [("batch", "3")]
    assert [(hit["kind"], hit["id"]) for hit in hits(world.http, "epoch%203")] == [("epoch", "3")]
    assert [hit["page"] for hit in hits(world.http, "3")] == ["/batches/3", "/epochs/3"]
    assert [hit["kind"] for hit in hits(world.http, "20")] == ["batch"]
    assert hits(world.http, "batch%2099999") == hits(world.http, "99999") == []
    page = world.http.page("/?q=3")
    assert 'href="/batches/3"' in page.text and 'href="/epochs/3"' in page.text


def test_headers_and_statements_by_their_id(world: Money) -> None:
    epochs = [one for one in world.http.get(f"{API}/epochs").json["epochs"] if one["closed"]]
    for one in epochs:
        assert [(hit["kind"], hit["id"]) for hit in hits(world.http, one["header"])] == [("batch", str(one["batch"]))]
    device = world.id("ann0").hex()
    said = world.http.get(f"{API}/devices/{device}/statements?epoch=2").json["statements"][-1]
    (hit,) = hits(world.http, said["id"])
    assert hit["kind"] == "statement" and device in hit["page"]
    assert said["id"] in world.http.page(hit["page"]).text
    assert hits(world.http, "f" * 64) == []


@pytest.mark.parametrize("bundle", [1, 0])
def test_every_header_of_the_log_is_found_and_no_further_than_is_looked(
    world: Money, bundle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_queries, "BUNDLES_LOOKED_AT", bundle)

    async def asked(queries: Queries) -> list[int | None]:
        size = queries._log_files.size()
        return [await queries.header_batch(queries._header_id(number)) for number in range(size)]

    found = world.ask(asked)
    wanted: list[int | None] = list(range(len(found)))
    assert found == (wanted if bundle else [None] * (len(found) - 1) + wanted[-1:]) and len(found) > 20


def test_old_statements_are_not_looked_for(world: Money, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_queries, "STATEMENTS_LOOKED_AT", 1)
    device = world.id("ann0").hex()
    said = world.http.get(f"{API}/devices/{device}/statements?epoch=1").json["statements"][0]
    assert hits(world.http, said["id"]) == []


@pytest.mark.parametrize("wrong", ["q=" + "a" * 81, "q=%00", "q=1&q=2", "q=%C3%A9", "x=1"])
def test_what_cannot_be_looked_for(client: Client, wrong: str) -> None:
    assert_problem(client.get(f"{API}/search?{wrong}"), 400, "bad_query")
