"""The pages at their edges: hostile names, searches, problems, static files, silence, nothing at all."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.kernel.amounts import AMOUNT_MAX
from coordinator.kernel.views import Explanation, Reason
from coordinator.web.app import make_app
from tests.web.document import Document
from tests.web.fakes import BEACON_TIME, FakeReader, FakeSubmit, World, world
from tests.web.serving import Client, serving


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[Client, FakeReader]]:
    reader = FakeReader(world(devices=3, closed=2))
    with serving(make_app(reader, FakeSubmit(), now=lambda: BEACON_TIME)) as client:
        yield client, reader


EVIL = st.one_of(
    st.sampled_from(
        ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'--></title><svg onload=a>", "{{7*7}}"]
    ),
    st.text(min_size=1, max_size=30).filter(str.isprintable),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(evil=EVIL, number=st.integers(0, AMOUNT_MAX))
def test_names_and_numbers_from_elsewhere_are_escaped(
    hostile: tuple[Client, FakeReader], evil: str, number: int
) -> None:
    client, reader = hostile
    reader.world = world(devices=3, closed=2, name=evil)
    device, view = next((key, each) for key, each in reader.world.devices.items() if reader.world.readings.get(key))
    reader.world.devices[device] = view._replace(
        channels=[(evil, evil, 12)], standing=evil, reason=evil, paid=number, last_slot=number
    )
    reader.world.network = reader.world.network._replace(refusals={evil: number}, beacon_time=number, treasury=number)
    reason = Reason(evil, 2, evil, evil)
    reader.world.explanations[device, 1] = Explanation(device, 1, "closed", None, evil, [reason])
    for target in ("/", f"/devices/{device.hex()}", f"/owners/{view.owner.hex()}"):
        answer = client.page(target)
        assert answer.status == 200
        document = Document(answer)
        assert not foreign(document)
        assert " ".join(evil.split()) in document.text


def foreign(document: Document) -> list[str]:
    """Tags that run what is not a file of ours."""
    return [
        tag
        for tag, attrs in document.tags
        if (tag == "script" and not (attrs.get("src") or "").startswith("/static/"))
        or any(name.startswith("on") for name in attrs)
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(evil=EVIL)
def test_a_search_never_echoes_markup(client: Client, evil: str) -> None:
    answer = client.page(f"/?q={quote(evil)}")
    if answer.status == 303:  # the name of something: there, and nowhere else
        assert re.fullmatch(r"/(devices|owners|batches|epochs)/[0-9a-f]+", answer.headers["Location"])
        return
    assert answer.status in (200, 400)
    assert not foreign(Document(answer))


def test_search_finds_devices_and_owners(client: Client, shown: World) -> None:
    device, owner = next(iter(shown.devices)).hex(), shown.owners()[0].account.hex()
    for wanted in (device, device.upper(), f"%20{device}+"):
        answer = client.page(f"/search?q={wanted}")
        assert (answer.status, answer.headers["Location"]) == (303, f"/devices/{device}")
    assert client.page(f"/search?q={owner}").headers["Location"] == f"/owners/{owner}"
    assert client.page(f"/?q={owner}").headers["Location"] == f"/owners/{owner}"


@pytest.mark.parametrize(("wanted", "message"), [("0" * 32, "has that id"), ("bread", "not an id")])
def test_search_says_what_it_did_not_find(client: Client, wanted: str, message: str) -> None:
    answer = client.page(f"/search?q={wanted}")
    assert answer.status == 303
    page = client.page(answer.headers["Location"])
    assert message in Document(page).text
    assert f'value="{wanted}"' in page.text
    assert client.page("/search").headers["Location"].startswith("/?q=")


def test_problems_are_pages_for_people_and_documents_for_programs(client: Client) -> None:
    page = client.page(f"/devices/{'0' * 32}")
    assert (page.status, page.type) == (404, "text/html")
    assert "No device with this id" in page.text
    answer = client.get(f"/devices/{'0' * 32}")
    assert (answer.status, answer.type, answer.json["code"]) == (404, "application/problem+json", "unknown_device")


def test_static_files_are_kept_and_confirmed(client: Client) -> None:
    href = re.search(r'href="(/static/style\.css\?v=[0-9a-f]+)"', client.page("/").text)
    assert href
    first = client.get(href[1])
    assert (first.status, first.type) == (200, "text/css")
    assert "immutable" in first.headers["Cache-Control"]
    for tag in (first.headers["ETag"], f'"other", W/{first.headers["ETag"]}', "*"):
        again = client.get(href[1], If_None_Match=tag)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Content-Security-Policy"]
    assert client.get(href[1], If_None_Match='"other"').status == 200
    assert "immutable" not in client.get("/static/style.css?v=0").headers["Cache-Control"]
    for name in ("nope.css", "..%2Fapp.py", "%2e%2e/app.py", "style.css%00"):
        assert client.get(f"/static/{name}").status == 404


def test_the_style_sheet_asks_nobody_else(client: Client) -> None:
    text = client.get("/static/style.css").text
    assert "url(" not in text
    assert "@import" not in text
    assert "http" not in text


def test_pages_are_compressed_where_asked(client: Client) -> None:
    answer = client("GET", "/", Accept="text/html", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.body) < 12_000


def test_live_pages_reload_only_on_request(client: Client) -> None:
    assert 'http-equiv="refresh" content="10"' in client.page("/?live=1").text
    for target in ("/", "/?live=0", "/?live=2", "/nothing?live=1"):
        assert 'http-equiv="refresh"' not in client.page(target).text


def test_a_silent_coordinator_is_called_out(shown: World) -> None:
    with serving(make_app(FakeReader(shown), FakeSubmit(), now=lambda: BEACON_TIME + 7200)) as client:
        text = Document(client.page("/")).text
    assert "2 h ago: no beacon for too long" in text
    assert "the coordinator is not sending beacons" in text


def test_an_empty_network_has_pages_too() -> None:
    empty = world(devices=1, closed=0)
    for each in (empty.devices, empty.epochs, empty.readings):
        each.clear()
    empty.network = empty.network._replace(devices=0, refusals={}, paid=0, treasury=0)
    with serving(make_app(FakeReader(empty), FakeSubmit())) as client:
        for target in ("/", "/devices"):
            assert client.page(target).status == 200
        assert client.get("/api/v1/devices").json == {"devices": [], "next": None}
