"""Every route crossed with everybody who may ask. The routes come from the application itself: whoever adds one enters
it in the table below, or this fails.

    PUBLIC      anybody, signed in or not
    PERSON      somebody at a browser, of any role; no API token
    READERS     readers and operators
    METERS      the same, with the scope for metrics
    OPERATORS   operators
    OWNERS      the owner of the device or account in the path, and nobody else, not even an operator
    ANY_OWNER   every owner, of what is that owner's
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import make_mocked_request

from coordinator.kernel.access import METRICS, OPERATOR, OPERATOR_READ, OWNER, READ_PRIVATE, READER, SCOPES_OF
from coordinator.web import access
from coordinator.web.problems import Problem
from tests.docs.routes import routes
from tests.web.fakes import world
from tests.web.people import FORM, Guest, Inn, inn
from tests.web.serving import Answer

PUBLIC, PERSON, READERS, OPERATORS, METERS = "public", "person", "readers", "operators", "meters"
OWNERS, ANY_OWNER = "owner", "any owner"

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
    "GET /api": PUBLIC,
    "GET /api/v1/accounts/{id}": PUBLIC,
    "GET /api/v1/accounts/{id}/postings": PUBLIC,
    "GET /api/v1/appeals": PUBLIC,
    "GET /api/v1/devices": PUBLIC,
    "GET /api/v1/devices/{id}": PUBLIC,
    "GET /api/v1/devices/{id}/bundle": PUBLIC,
    "GET /api/v1/devices/{id}/corrections": PUBLIC,
    "GET /api/v1/devices/{id}/explain": PUBLIC,
    "GET /api/v1/devices/{id}/payouts": PUBLIC,
    "GET /api/v1/devices/{id}/presence": PUBLIC,
    "GET /api/v1/devices/{id}/proof": PUBLIC,
    "GET /api/v1/devices/{id}/quarantines": PUBLIC,
    "DELETE /api/v1/devices/{id}/readings": OWNERS,
    "GET /api/v1/devices/{id}/readings": PUBLIC,
    "GET /api/v1/devices/{id}/readings.{format}": PUBLIC,  # of a device whose readings are; see below
    "GET /api/v1/devices/{id}/statements": PUBLIC,
    "GET /api/v1/devices/{id}/stubs/{n}": PUBLIC,
    "GET /api/v1/epochs": PUBLIC,
    "GET /api/v1/epochs/{n}": PUBLIC,
    "GET /api/v1/epochs/{n}/detail": PUBLIC,
    "GET /api/v1/epochs/{n}/payouts": PUBLIC,
    "GET /api/v1/epochs/{n}/postings": PUBLIC,
    "GET /api/v1/events": PUBLIC,
    "GET /api/v1/log/consistency": PUBLIC,
    "GET /api/v1/log/inclusion": PUBLIC,
    "GET /api/v1/map": PUBLIC,
    "GET /api/v1/network": PUBLIC,
    "GET /api/v1/rewards": PUBLIC,
    "GET /api/v1/openapi.json": PUBLIC,
    "POST /api/v1/notices/stop": PUBLIC,  # with a code of its own
    "POST /api/v1/owner": PUBLIC,  # signed by itself
    "GET /api/v1/owner/{id}": PUBLIC,
    "GET /api/v1/owners": PUBLIC,
    "GET /api/v1/owners/{id}": PUBLIC,
    "GET /api/v1/owners/{id}/corrections": PUBLIC,
    "GET /api/v1/owners/{id}/earnings": PUBLIC,
    "GET /api/v1/owners/{id}/rewards": PUBLIC,
    "GET /api/v1/owners/{id}/settlements": PUBLIC,
    "GET /api/v1/quarantines": PUBLIC,
    "GET /api/v1/search": PUBLIC,
    "POST /api/v1/statements": PUBLIC,  # signed by itself
    "POST /api/v1/texts": PUBLIC,  # nothing but what a signed message has the hash of
    "GET /archive/batches/{number}": PUBLIC,
    "GET /archive/index.json": PUBLIC,
    "GET /archive/{name}": PUBLIC,
    "GET /batches/{n}": PUBLIC,
    "GET /livez": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /devices": PUBLIC,
    "GET /devices/{id}": PUBLIC,
    "POST /devices/{id}/readings/delete": OWNERS,
    "GET /devices/{id}/stubs/{n}": PUBLIC,
    "GET /devices/{id}/stubs/{n}/statements": PUBLIC,
    "GET /epochs": PUBLIC,
    "GET /epochs/{n}": PUBLIC,
    "GET /flash": PUBLIC,
    "GET /flash/{board}/manifest.json": PUBLIC,
    "GET /flash/{board}/{part}": PUBLIC,
    "GET /home": ANY_OWNER,
    "GET /log/{name}": PUBLIC,
    "GET /login": PUBLIC,
    "GET /login/challenge": PUBLIC,
    "GET /login/link": PUBLIC,
    "POST /login/link": PUBLIC,
    "POST /login/owner": PUBLIC,
    "POST /login/passkey": PUBLIC,
    "POST /logout": PUBLIC,
    "GET /map": PUBLIC,
    "GET /map/{cell}": PUBLIC,
    "GET /metrics": METERS,
    "GET /uptime": PUBLIC,
    "GET /notices/stop": PUBLIC,  # with a code of its own
    "POST /notices/stop": PUBLIC,
    "GET /operator": READERS,
    "GET /operator/appeals": READERS,
    "GET /operator/backup": READERS,
    "GET /operator/clusters": READERS,
    "GET /operator/devices/{id}": READERS,
    "POST /operator/devices/{id}/correct": OPERATORS,
    "POST /operator/devices/{id}/lift": OPERATORS,
    "POST /operator/devices/{id}/quarantine": OPERATORS,
    "GET /operator/ingest": READERS,
    "GET /operator/log": READERS,
    "GET /operator/parameters": READERS,
    "GET /operator/payouts": READERS,
    "GET /operator/payouts.csv": READERS,
    "GET /operator/payouts/{id}": READERS,
    "POST /operator/payouts/{id}": OPERATORS,
    "GET /operator/rollouts": READERS,
    "GET /operator/tokens": READERS,
    "POST /operator/tokens": OPERATORS,
    "GET /operator/tokens/{id}": OPERATORS,
    "GET /owners/{id}": PUBLIC,
    "GET /owners/{id}/ledger": PUBLIC,
    "GET /owners/{id}/manage": PUBLIC,  # its forms are signed
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
OWN = {"owner", "owner's token", "owner's token that reads"}
MAY: dict[str, Callable[[str], set[str]]] = {
    PUBLIC: lambda method: EVERYBODY,
    PERSON: lambda method: BROWSERS,
    READERS: lambda method: READING,
    METERS: lambda method: READING - {"operator's token that reads"} | {"operator's token for metrics"},
    OPERATORS: lambda method: {"operator", "operator's token"},
    OWNERS: lambda method: {"owner", "owner's token"} | ({"owner's token that reads"} if method == "GET" else set()),
    ANY_OWNER: lambda method: OWN | {"another owner", "another owner's token"},
}
REFUSED = ("login_required", "not_allowed", "bad_token", "too_many_attempts", "readings_private")


class Everybody(NamedTuple):
    """A house, and all who may ask it, by their names above; `values` fill the paths."""

    house: Inn
    callers: dict[str, Callable[..., Answer]]
    values: Callable[[str], str]
    mine: bytes
    other: bytes


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
            subject = (
                mine.hex()
                if "/accounts/" in template or "/owners/" in template or "/payouts/" in template
                else device.device.hex()
            )
            subject = "0" * 64 if "/owner/" in template else token if "/operator/tokens" in template else subject
            for name, value in {
                "{id}": subject,
                "{n}": "1",
                "{number}": "1",
                "{name}": "genesis.cbor",
                "{format}": "csv",
            }.items():
                template = template.replace(name, value)
            return template.replace("{board}", "esp32-devkitc").replace("{part}", "app.bin")

        yield Everybody(house, callers, path, mine, other)


def _issued(house: Inn) -> str:
    body = {"owner": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "devices": 1, "last_epoch": 9}
    answer = house.session(OPERATOR).post("/operator/tokens", "/account", **body)
    assert answer.status == 303, answer.text
    return str(answer.headers["Location"]).rpartition("/")[2]


def asked(everybody: Everybody, who: str, method: str, target: str) -> Answer:
    return told(everybody, everybody.callers[who], sorted(everybody.callers).index(who), method, target)


def told(everybody: Everybody, caller: Any, number: int, method: str, target: str) -> Answer:
    # From an address each, so that nobody waits for another's failures.
    where = {"X_Forwarded_For": f"10.0.0.{number}"}
    if method == "GET":
        return caller("GET", target, **where)
    # A form of our own with nothing in it but its field: what gets in is told that the rest is missing.
    headers = {"Content_Type": FORM, "Origin": everybody.house.client.url, **where}
    fields = {"csrf": caller.field()} if isinstance(caller, Guest) else {}
    return caller(method, target, urlencode(fields).encode(), **headers)


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
        led_to_login = answer.status == 303 and (answer.headers["Location"] or "").startswith("/login?")
        if led_to_login:
            continue
        if code not in REFUSED or (who == "operator" and template == "/account/contacts"):
            got_in.add(who)
        elif code == "login_required":
            assert answer.status == 401 and "WWW-Authenticate" in answer.headers
    if template == "/account/contacts":
        got_in |= {"reader"}  # it gets in, and is told that notices are for owners
    elif route == "POST /logout":
        got_in |= BROWSERS
    assert got_in == may


def test_private_readings_are_their_owners_alone(everybody: Everybody) -> None:
    house = everybody.house
    device = next(one for one in world().devices.values() if not one.readings_public)
    callers = everybody.callers | {
        "its owner": house.session(OWNER, device.owner),
        "its owner's token": house.token(OWNER, device.owner),
    }
    got_in = set()
    for number, (who, caller) in enumerate(callers.items()):
        if who in OWN and everybody.mine == device.owner:
            continue
        answer = told(everybody, caller, number, "GET", f"/api/v1/devices/{device.device.hex()}/readings.csv")
        if answer.status == 200:
            got_in.add(who)
        else:
            assert answer.status in (401, 403, 429), answer.text[:200]
    assert got_in - {"another owner", "another owner's token"} == {"its owner", "its owner's token"}
    assert ("another owner" in got_in) == (everybody.other == device.owner)


@pytest.mark.parametrize("route", [route for route in TABLE if TABLE[route] in (PERSON, READERS, OPERATORS)])
def test_who_is_refused_learns_nothing(everybody: Everybody, route: str) -> None:
    """The same answer whether there is something or not, and none of it is what was asked for."""
    method, template = route.split(" ")
    there = asked(everybody, "nobody", method, everybody.values(template))
    elsewhere = asked(everybody, "nobody", method, everybody.values(template.replace("{id}", "f" * 64)))
    assert there.status == elsewhere.status == 401
    assert {**there.json, "instance": ""} == {**elsewhere.json, "instance": ""}
    assert len(there.body) < 500


# (role, scopes of a token or None for all of the role, account, what is demanded) -> the refusal, "" for none.
DEMANDS: list[tuple[str, list[str] | None, str, str, str, str]] = [
    (READER, None, "GET", OPERATOR, "", "not_allowed"),
    (READER, None, "GET", OPERATOR, OPERATOR_READ, "not_allowed"),
    (READER, None, "GET", READER, "", ""),
    (OPERATOR, None, "GET", READER, "", ""),
    (OPERATOR, None, "POST", OPERATOR, "", ""),
    (OPERATOR, [OPERATOR_READ], "GET", OPERATOR, "", ""),
    (OPERATOR, [OPERATOR_READ], "POST", OPERATOR, "", "not_allowed"),
    (OPERATOR, None, "GET", OWNER, "", "not_allowed"),
    (OPERATOR, [OPERATOR_READ, READ_PRIVATE], "GET", OWNER, READ_PRIVATE, "not_allowed"),
    (OWNER, None, "GET", OWNER, "", ""),
    (OWNER, None, "POST", OWNER, "", ""),
    (OWNER, [READ_PRIVATE], "POST", OWNER, "", "not_allowed"),
    (OWNER, None, "GET", READER, "", "not_allowed"),
    (OWNER, None, "GET", OPERATOR, READ_PRIVATE, "not_allowed"),
    ("", None, "GET", READER, "", "login_required"),
    ("", None, "GET", OWNER, "", "login_required"),
]


@pytest.mark.parametrize(("role", "scopes", "method", "wanted", "scope", "refusal"), DEMANDS)
def test_a_role_and_a_scope_are_both_demanded(
    role: str, scopes: list[str] | None, method: str, wanted: str, scope: str, refusal: str
) -> None:
    mine, other = bytes(16), bytes([1]) * 16
    held = SCOPES_OF[role] if scopes is None else frozenset(scopes)
    asking = access.Asking(access.Visitor(role, mine if role == OWNER else b"", held, "somebody"))

    def refused(what: Callable[[Any], object]) -> str:
        request = make_mocked_request(method, "/")
        request[access._KEY] = asking
        try:
            what(request)
        except Problem as problem:
            return problem.code
        return ""

    assert refused(lambda request: access.demand(request, wanted, scope)) == refusal
    if wanted == OWNER:
        assert refused(lambda request: access.demand_account(request, mine, scope)) == refusal
        assert refused(lambda request: access.demand_account(request, other, scope)) in ("not_allowed", refusal or "x")
        assert refused(lambda request: access.demand_account(request, b"", scope)) in ("not_allowed", refusal or "x")
