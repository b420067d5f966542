"""What a stranger may write into a path or a query, in every such place of every route: a table of texts that break
out of something somewhere. None finds a fault, comes back as markup, as a header or as somebody's file.

Each place gets some of the texts, in turn; EDGETALLY_SOAK=1 gives all of them to all.
"""

import http.client
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from html.parser import HTMLParser
from itertools import cycle, islice
from urllib.parse import quote

import pytest

from coordinator.kernel.access import OPERATOR
from coordinator.web import openapi
from tests.docs.routes import application
from tests.web.fakes import world as made_world
from tests.web.money import Money
from tests.web.people import Inn, inn
from tests.web.serving import HOST, Answer
from tests.web.test_authorisation import PUBLIC, TABLE

MARK = "x9k7"
# As they stand in an address.
TEXTS = {
    "script": quote(f"<script>{MARK}</script>"),
    "attribute": quote(f'"><img src={MARK} onerror=alert(1)>'),
    "template": quote("{{7*191}}"),
    "sql": quote("' OR 1=1 --"),
    "sql more": quote("1; DROP TABLE devices; --"),
    "sql union": quote("0' UNION SELECT sql FROM sqlite_master --"),
    "dots": "..%2f..%2f..%2fetc%2fpasswd",
    "dots twice": "..%252f..%252fetc%252fpasswd",
    "back": "..%5c..%5cwindows%5cwin.ini",
    "overlong slash": "..%c0%af..%c0%afetc%c0%afpasswd",
    "file": "file:%2f%2f%2fetc%2fpasswd",
    "crlf": f"a%0d%0aSet-Cookie:%20{MARK}=1%0d%0a%0d%0a<b>",
    "lf": f"a%0aSet-Cookie:%20{MARK}=1",
    "answer": f"a%0d%0a%0d%0aHTTP/1.1%20200%20OK%0d%0a{MARK}:%201",
    "nul": "%00",
    "nul behind": "0" * 32 + "%00",
    "bytes": "%ff%fe%80",
    "surrogate": "%ed%a0%80",
    "right to left": "%e2%80%ae%e2%81%a6",
    "digits of another script": "%f0%9d%9f%99%f0%9d%9f%98",
    "long": "a" * 3000,
    "long hex": "0" * 3000,
    "long number": "9" * 400,
    "beyond": str(2**63),
    "negative": "-1",
    "float": "1e3",
    "hex": "0x10",
    "space": "%20",
    "empty": "",
    "plus": "+1",
    "percent": "%25s%25n%25x",
    "elsewhere": "https:%2f%2fevil.example%2f",
    "elsewhere too": "%2f%2fevil.example",
    "javascript": "javascript:alert(1)",
    "list": "1&1=1",
    "ids": "0" * 32 + "," + "1" * 32,
}
AT_ONCE = len(TEXTS) if os.environ.get("EDGETALLY_SOAK") else 3
PARAMETER = re.compile(r"\{(\w+)\}")
PAGES = {
    "/": ("q", "live"),
    "/search": ("q",),
    "/devices": ("standing", "owner", "measures", "silent_since", "cursor", "live", "form"),
    "/devices/{id}": ("epoch", "deleted", "live"),
    "/devices/{id}/stubs/{n}/statements": ("boot", "seq"),
    "/map": ("by",),
    "/map/{cell}": ("after",),
    "/uptime": ("after", "before", "show"),
    "/epochs": ("before", "live"),
    "/epochs/{n}": ("after",),
    "/owners/{id}": ("before",),
    "/owners/{id}/ledger": ("epoch", "before", "place"),
    "/login": ("next",),
    "/login/link": ("code",),
    "/notices/stop": ("contact", "code"),
    "/static/{name}": ("v",),
    "/verify": ("device", "epoch", "slot"),
    "/account": ("welcome",),
    "/home": ("before",),
    "/operator/log": ("before", "action"),
    "/operator/tokens/{id}": ("host",),
}
ASKED_MAX = 400
# It has no end; it says 503 where a network stands still.
NOT_ASKED = ("/api/v1/events", "/readyz")


class Ears:
    """Asks on a connection that stays, now and then from another address: nobody is to wait for the rate limit."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self._port = port
        self._cookie = {"Cookie": cookie} if cookie else {}
        self._asked = 0
        self._to = http.client.HTTPConnection(HOST, port)

    def close(self) -> None:
        self._to.close()

    def __call__(self, method: str, target: str, accept: str) -> Answer:
        if self._asked % ASKED_MAX == 0:
            self.close()
            source = f"127.0.1.{1 + self._asked // ASKED_MAX}"
            self._to = http.client.HTTPConnection(HOST, self._port, timeout=20, source_address=(source, 0))
        self._asked += 1
        self._to.request(method, target, b"" if method != "GET" else None, {"Accept": accept, **self._cookie})
        got = self._to.getresponse()
        return Answer(got.status, got.headers, got.read())


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def fields() -> dict[str, list[str]]:
    """By path of what is read, the fields of its query."""
    found = {path: list(names) for path, names in PAGES.items()}
    for method, path, handler in openapi.api_routes(application()):
        said = openapi.declared(handler)
        if method == "GET" and said is not None:
            found[path] = [field.name for field in said.query]
    return found


def places(known: dict[str, str], routes: Iterable[str] = TABLE) -> Iterator[tuple[str, str]]:
    """(method, address with one place left open) of every parameter of every path and every field of every query."""
    of_path = fields()
    for route in routes:
        method, _, path = route.partition(" ")
        if path in NOT_ASKED:
            continue
        filled = PARAMETER.sub(lambda found: known[found[1]], path)
        for parameter in PARAMETER.finditer(path):
            before, after = path[: parameter.start()], path[parameter.end() :]
            inside = [PARAMETER.sub(lambda found: known[found[1]], one) for one in (before, after)]
            yield method, f"{inside[0]}{{}}{inside[1]}"
        for field in of_path.get(path, ()) if method == "GET" else ():
            yield method, f"{filled}?{field}={{}}"
        yield method, filled + "?{}=1"


def unharmed(answer: Answer, target: str) -> None:
    assert answer.status < 500, (target, answer.body[:300])
    for name, value in answer.headers.items():
        assert MARK not in name and not (name == "Set-Cookie" and MARK in value), (target, name, value)
        assert name != "Location" or (value.startswith("/") and not value.startswith(("//", "/\\"))), (target, value)
    assert answer.headers["Content-Security-Policy"] and answer.headers["X-Content-Type-Options"] == "nosniff", target
    assert b"root:x:" not in answer.body and b"CREATE TABLE" not in answer.body, target
    assert len(answer.body) < 1 << 20, target
    if answer.type == "text/html":
        page = Tags()
        page.feed(answer.text)
        assert all(MARK not in f"{tag}{of.get('src')}" and "onerror" not in of for tag, of in page.tags), target
        assert f"<script>{MARK}" not in answer.text and "1337" not in page.text, target
    elif answer.status >= 400:
        assert answer.type == "application/problem+json" and answer.json["status"] == answer.status, target


def try_all(ears: Ears, known: dict[str, str], routes: Iterable[str] = TABLE) -> tuple[int, set[int]]:
    names, tried, statuses = cycle(TEXTS), 0, set()
    for number, (method, open_address) in enumerate(places(known, routes)):
        for name in islice(names, AT_ONCE):
            target = open_address.replace("{}", TEXTS[name])
            answer = ears(method, target, "text/html" if number % 2 else "*/*")
            unharmed(answer, target)
            tried += 1
            statuses.add(answer.status)
    return tried, statuses


def test_a_stranger_writes_anything_anywhere(world: Money) -> None:
    known = {"id": world.id("ann1").hex(), "n": "1", "number": "1", "format": "csv", "name": "genesis.cbor"}
    known |= {"board": "esp32-devkitc", "part": "app.bin", "cell": "821f17fffffffff"}
    with closing(Ears(world.http.port)) as ears:
        tried, statuses = try_all(ears, known)
    assert tried > 120 * AT_ONCE and {200, 400, 404} <= statuses and 429 not in statuses
    assert world.http.get("/api/v1/network").json["http_refusals"].get("fault", 0) == 0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inn]:
    with inn(tmp_path_factory.mktemp("inn"), shown=made_world()) as house:
        house.enrolment.tokens = []
        yield house


def test_so_does_an_operator(house: Inn) -> None:
    operator = house.session(OPERATOR)
    cookie = "; ".join(f"{name}={value}" for name, value in operator.cookies.items())
    known = {
        "id": "ab" * 16,
        "n": "1",
        "number": "1",
        "format": "csv",
        "name": "x",
        "board": "x",
        "part": "x",
        "cell": "x",
    }
    guarded = [route for route, who in TABLE.items() if who != PUBLIC and not route.endswith("/end")]
    with closing(Ears(house.client.port, cookie)) as ears:
        tried, statuses = try_all(ears, known, guarded)
    assert tried > 20 * AT_ONCE and {200, 400} <= statuses and 429 not in statuses


def test_the_texts_would_be_seen(world: Money) -> None:
    """What `unharmed` looks for, where it is."""
    good = world.http.page("/")
    for wrong in (
        good._replace(status=500),
        good._replace(body=good.body.replace(b"<main", f"<img src={MARK}><main".encode())),
        good._replace(body=good.body + b"root:x:0"),
    ):
        with pytest.raises(AssertionError):
            unharmed(wrong, "/")
    unharmed(good, "/")
