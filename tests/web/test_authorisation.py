"""Every route crossed with everybody who may ask. The routes come from the application itself: whoever adds one enters
it in the table below, or this fails.

    PUBLIC      anybody, signed in or not
    PERSON      somebody at a browser, of any role; no API token
    READERS     readers and operators
    OPERATORS   operators
    OWNER       the owner of the device or account in the path, and nobody else, not even an operator
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from coordinator.kernel.access import METRICS, OPERATOR, OPERATOR_READ, OWNER, READ_PRIVATE, READER
from tests.docs.routes import routes
from tests.web.fakes import world
from tests.web.people import FORM, Guest, Inn, inn
from tests.web.serving import Answer

PUBLIC, PERSON, READERS, OPERATORS, OWNERS = "public", "person", "readers", "operators", "owner"

TABLE: dict[str, str] = {
    "GET /": PUBLIC,
    "GET /account": PERSON,
    "POST /account/contacts": PERSON,
    "POST /account/contacts/remove": PERSON,
    "POST /account/passkeys": PERSON,
    "POST /account/passkeys/remove": PERSON,
    "POST /account/sessions/end": PERSON,
    "POST /account/tokens": PERSON,
    "POST /account/tokens/revoke": PERSON,
    "GET /api/v1/accounts/{id}": PUBLIC,
    "GET /api/v1/accounts/{id}/postings": PUBLIC,
    "GET /api/v1/devices": PUBLIC,
    "GET /api/v1/devices/{id}": PUBLIC,
    "GET /api/v1/devices/{id}/bundle": PUBLIC,
    "GET /api/v1/devices/{id}/explain": PUBLIC,
    "GET /api/v1/devices/{id}/payouts": PUBLIC,
    "GET /api/v1/devices/{id}/presence": PUBLIC,
    "GET /api/v1/devices/{id}/proof": PUBLIC,
    "GET /api/v1/devices/{id}/readings": PUBLIC,
    "GET /api/v1/devices/{id}/statements": PUBLIC,
    "GET /api/v1/devices/{id}/stubs/{n}": PUBLIC,
    "GET /api/v1/epochs": PUBLIC,
    "GET /api/v1/epochs/{n}": PUBLIC,
    "GET /api/v1/epochs/{n}/payouts": PUBLIC,
    "GET /api/v1/log/consistency": PUBLIC,
    "GET /api/v1/log/inclusion": PUBLIC,
    "GET /api/v1/network": PUBLIC,
    "POST /api/v1/owner": PUBLIC,  # signed by itself
    "GET /api/v1/owner/{id}": PUBLIC,
    "GET /api/v1/owners": PUBLIC,
    "GET /api/v1/owners/{id}": PUBLIC,
    "GET /api/v1/owners/{id}/earnings": PUBLIC,
    "GET /api/v1/owners/{id}/rewards": PUBLIC,
    "POST /api/v1/statements": PUBLIC,  # signed by itself
    "GET /archive/batches/{number}": PUBLIC,
    "GET /archive/index.json": PUBLIC,
    "GET /archive/{name}": PUBLIC,
    "GET /batches/{n}": PUBLIC,
    "GET /devices": PUBLIC,
    "GET /devices/{id}": PUBLIC,
    "GET /devices/{id}/stubs/{n}": PUBLIC,
    "GET /devices/{id}/stubs/{n}/statements": PUBLIC,
    "GET /flash": PUBLIC,
    "GET /flash/{board}/manifest.json": PUBLIC,
    "GET /flash/{board}/{part}": PUBLIC,
    "GET /log/{name}": PUBLIC,
    "GET /login": PUBLIC,
    "GET /login/challenge": PUBLIC,
    "GET /login/link": PUBLIC,
    "POST /login/link": PUBLIC,
    "POST /login/owner": PUBLIC,
    "POST /login/passkey": PUBLIC,
    "POST /logout": PUBLIC,
    "GET /operator": READERS,
    "GET /operator/log": READERS,
    "GET /operator/tokens": READERS,
    "POST /operator/tokens": OPERATORS,
    "GET /operator/tokens/{id}": OPERATORS,
    "GET /owners/{id}": PUBLIC,
    "GET /owners/{id}/ledger": PUBLIC,
    "GET /search": PUBLIC,
    "GET /static/{name}": PUBLIC,
    "GET /verify": PUBLIC,
    "GET /verify/offline.html": PUBLIC,
}
# Whom each word lets in, of the visitors below; a token that is over gets in nowhere, not even where all is public.
BROWSERS = {"reader", "owner", "another owner", "operator"}
SCRIPTS = {"reader's token", "owner's token", "another owner's token", "operator's token"}
LIMITED = {"operator's token that reads", "owner's token that reads", "operator's token for metrics"}
EVERYBODY = {"nobody", "forged cookie", *BROWSERS, *SCRIPTS, *LIMITED}
READING = {"reader", "operator", "reader's token", "operator's token", "operator's token that reads"}
MAY: dict[str, Callable[[str], set[str]]] = {
    PUBLIC: lambda method: EVERYBODY,
    PERSON: lambda method: BROWSERS,
    READERS: lambda method: READING,
    OPERATORS: lambda method: {"operator", "operator's token"},
    OWNERS: lambda method: {"owner", "owner's token"} | ({"owner's token that reads"} if method == "GET" else set()),
}
REFUSED = ("login_required", "not_allowed", "bad_token", "too_many_attempts")


class Everybody(NamedTuple):
    """A house, and all who may ask it, by their names above; `values` fill the paths."""

    house: Inn
    callers: dict[str, Callable[..., Answer]]
    values: Callable[[str], str]


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everybody]:
    shown = world()
    device = next(iter(shown.devices.values()))
    mine = device.owner
    other = next(one.owner for one in shown.devices.values() if one.owner != mine)
    with inn(tmp_path_factory.mktemp("inn"), shown=shown) as house:
        house.enrolment.tokens = []
        token = _issued(house)
        forged = Guest(house.client)
        forged.cookies["edgetally"] = "A" * 43
        over = house.token(OPERATOR, days=1e-5)
        callers: dict[str, Callable[..., Answer]] = {
            "nobody": Guest(house.client),
            "forged cookie": forged,
            "reader": house.session(READER),
            "owner": house.session(OWNER, mine),
            "another owner": house.session(OWNER, other),
            "operator": house.session(OPERATOR),
            "reader's token": house.token(READER),
            "owner's token": house.token(OWNER, mine),
            "another owner's token": house.token(OWNER, other),
            "operator's token": house.token(OPERATOR),
            "operator's token that reads": house.token(OPERATOR, scopes=[OPERATOR_READ]),
            "operator's token for metrics": house.token(OPERATOR, scopes=[METRICS]),
            "owner's token that reads": house.token(OWNER, mine, scopes=[READ_PRIVATE]),
            "token that is over": over,
        }
        house.clock.now += 1

        def path(template: str) -> str:
            subject = mine.hex() if "/accounts/" in template or "/owners/" in template else device.device.hex()
            subject = "0" * 64 if "/owner/" in template else token if "/operator/tokens" in template else subject
            for name, value in {"{id}": subject, "{n}": "1", "{number}": "1", "{name}": "genesis.cbor"}.items():
                template = template.replace(name, value)
            return template.replace("{board}", "esp32-devkitc").replace("{part}", "app.bin")

        yield Everybody(house, callers, path)


def _issued(house: Inn) -> str:
    body = {"owner": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "devices": 1, "last_epoch": 9}
    answer = house.session(OPERATOR).post("/operator/tokens", "/account", **body)
    assert answer.status == 303, answer.text
    return str(answer.headers["Location"]).rpartition("/")[2]


def asked(everybody: Everybody, who: str, method: str, target: str) -> Answer:
    caller: Any = everybody.callers[who]
    # From an address each, so that nobody waits for another's failures.
    where = {"X_Forwarded_For": f"10.0.0.{sorted(everybody.callers).index(who)}"}
    if method == "GET":
        return caller("GET", target, **where)
    # A form of our own with nothing in it but its field: what gets in is told that the rest is missing.
    headers = {"Content_Type": FORM, "Origin": everybody.house.client.url, **where}
    fields = {"csrf": caller.field()} if isinstance(caller, Guest) else {}
    return caller("POST", target, urlencode(fields).encode(), **headers)


def test_the_table_holds_every_route() -> None:
    assert {f"{method} {path}" for method, path in routes()} == set(TABLE), "enter the route in TABLE"


@pytest.mark.parametrize("route", TABLE)
def test_who_gets_in(everybody: Everybody, route: str) -> None:
    method, template = route.split(" ")
    may = MAY[TABLE[route]](method)
    target = everybody.values(template)
    got_in = set()
    for who in everybody.callers:
        if route == "POST /logout" and who in BROWSERS:
            continue  # it ends what the other routes need; test_access.py is about it
        answer = asked(everybody, who, method, target)
        assert answer.status != 500, (who, answer.text[:300])
        code = answer.json["code"] if answer.type == "application/problem+json" else ""
        if code not in REFUSED or (who == "operator" and template == "/account/contacts"):
            got_in.add(who)
        elif code == "login_required":
            assert answer.status == 401 and "WWW-Authenticate" in answer.headers
    if template == "/account/contacts":
        got_in |= {"reader"}  # it gets in, and is told that notices are for owners
    elif route == "POST /logout":
        got_in |= BROWSERS
    assert got_in == may


@pytest.mark.parametrize("route", [route for route in TABLE if TABLE[route] != PUBLIC])
def test_who_is_refused_learns_nothing(everybody: Everybody, route: str) -> None:
    """The same answer whether there is something or not, and none of it is what was asked for."""
    method, template = route.split(" ")
    there = asked(everybody, "nobody", method, everybody.values(template))
    elsewhere = asked(everybody, "nobody", method, everybody.values(template.replace("{id}", "f" * 64)))
    assert there.status == elsewhere.status == 401
    assert {**there.json, "instance": ""} == {**elsewhere.json, "instance": ""}
    assert len(there.body) < 500
