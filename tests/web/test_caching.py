"""How long every answer may be kept: a table over all routes."""

from collections.abc import Iterator

import pytest

from coordinator.kernel.access import OPERATOR
from coordinator.web.assets import url
from coordinator.web.caching import ASK_AGAIN, FOR_EVER, NOT_AT_ALL, SETTLED
from tests.web.fakes import world as made_world
from tests.web.money import Money
from tests.web.people import OWNER, Inn, inn
from tests.web.test_authorisation import TABLE

# What is not asked for each time. Everything else in TABLE that answers a stranger is ASK_AGAIN.
KEPT = {
    "GET /api/v1/epochs/{n}": SETTLED,
    "GET /api/v1/epochs/{n}/detail": SETTLED,
    "GET /api/v1/epochs/{n}/payouts": SETTLED,
    "GET /api/v1/epochs/{n}/postings": SETTLED,
    "GET /api/v1/log/consistency": SETTLED,
    "GET /api/v1/log/inclusion": SETTLED,
    "GET /archive/batches/{number}": FOR_EVER,
    "GET /static/{name}": FOR_EVER,
    "GET /api/v1/accounts/{id}": NOT_AT_ALL,
    "GET /api/v1/events": NOT_AT_ALL,
    "GET /api/v1/owner/{id}": NOT_AT_ALL,
    "GET /livez": NOT_AT_ALL,
    "GET /readyz": NOT_AT_ALL,
    "GET /login": NOT_AT_ALL,  # its form is bound to a visit that it begins
    "GET /login/link": NOT_AT_ALL,
    "GET /login/challenge": NOT_AT_ALL,
}
QUERIES = {
    "/api/v1/log/inclusion": "?batch=1&size=5",
    "/api/v1/log/consistency": "?first=3&second=5",
    "/api/v1/devices/{id}/bundle": "?epoch=1",
    "/api/v1/devices/{id}/corrections": "?epoch=1",
    "/api/v1/devices/{id}/proof": "?epoch=1",
    "/api/v1/devices/{id}/statements": "?epoch=1",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    with inn(tmp_path_factory.mktemp("inn"), shown=made_world()) as house:
        yield house


def target_of(world: Money, path: str) -> str:
    about = "owner" if "/owners/" in path or "/accounts/" in path else "device"
    subject = world.owner["ann"].hex() if about == "owner" else world.id("ann1").hex()
    values = {"{id}": "0" * 64 if "/owner/" in path else subject, "{n}": "1", "{number}": "1", "{format}": "csv"}
    if path == "/static/{name}":
        return url("style.css")
    values["{name}"] = "checkpoint" if path.startswith("/log/") else "genesis.cbor"
    filled = path
    for name, value in values.items():
        filled = filled.replace(name, value)
    return filled + QUERIES.get(path, "")


@pytest.mark.parametrize("route", [route for route in TABLE if route.startswith("GET ")])
def test_what_a_stranger_gets(world: Money, route: str) -> None:
    path = route.removeprefix("GET ")
    if path == "/api/v1/events":
        return  # it never ends; tests/web/test_events.py has it
    answer = world.http.get(target_of(world, path))
    wanted = NOT_AT_ALL if answer.status >= 400 else KEPT.get(route, ASK_AGAIN)
    assert answer.headers["Cache-Control"] == wanted, (answer.status, answer.body[:200])
    if wanted == ASK_AGAIN:  # with a cookie it may be another
        assert "Cookie" in answer.headers.get_all("Vary", [])


def test_what_is_kept_is_really_answered(world: Money) -> None:
    """A route that is refused says nothing about what it gives."""
    for route in KEPT:
        path = route.removeprefix("GET ")
        if path not in ("/api/v1/events", "/api/v1/owner/{id}", "/login/link", "/readyz"):
            assert world.http.get(target_of(world, path)).status == 200, route


def test_the_files_of_a_batch_and_the_log(world: Money) -> None:
    for path, wanted in (
        ("/archive/batches/1/header.cose", FOR_EVER),
        ("/log/tile/0/000.p/5", FOR_EVER),
        ("/log/checkpoint", ASK_AGAIN),
        ("/archive/beacons.log", ASK_AGAIN),
        ("/archive/index.json", ASK_AGAIN),
        ("/static/style.css", "public, no-cache"),
    ):
        answer = world.http.get(path)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, wanted), path


def test_what_is_not_over_is_asked_for_again(world: Money) -> None:
    running = world.http.get("/api/v1/network").json["epoch"]
    for path in (f"epochs/{running}", f"epochs/{running}/detail", f"epochs/{running}/payouts"):
        assert world.http.get(f"/api/v1/{path}").headers["Cache-Control"] == ASK_AGAIN
    device = world.id("ann1").hex()
    sized = world.http.get(f"/api/v1/devices/{device}/proof?epoch=1&size=20")
    assert (sized.status, sized.headers["Cache-Control"]) == (200, SETTLED)


def test_what_has_not_changed_may_be_kept_as_long(world: Money) -> None:
    first = world.http.get("/api/v1/epochs/1")
    again = world.http.get("/api/v1/epochs/1", If_None_Match=first.headers["ETag"])
    assert (again.status, again.headers["Cache-Control"]) == (304, SETTLED)


def test_what_is_handed_in_is_kept_by_nobody(world: Money) -> None:
    for path in ("statements", "owner", "texts", "notices/stop"):
        answer = world.http("POST", f"/api/v1/{path}", b"x", Content_Type="application/cbor")
        assert answer.status >= 400 and answer.headers["Cache-Control"] == NOT_AT_ALL


@pytest.mark.parametrize("role", [OWNER, OPERATOR])
def test_what_a_person_sees_is_kept_by_nobody_but_what_is_the_same_for_all(house: Inn, role: str) -> None:
    """Static files too would come anew with every page, were they not."""
    device = next(iter(made_world().devices.values()))
    person = house.session(role, device.owner) if role == OWNER else house.session(role)
    for path in ("/", "/devices", f"/devices/{device.device.hex()}", "/account", "/api/v1/network", "/api/v1/devices"):
        answer = person("GET", path)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, NOT_AT_ALL), path
    assert person("GET", "/api/v1/devices/x").headers["Cache-Control"] == NOT_AT_ALL
    for path, wanted in ((url("style.css"), FOR_EVER), ("/api/v1/epochs/1", SETTLED)):
        assert person("GET", path).headers["Cache-Control"] == wanted, path
