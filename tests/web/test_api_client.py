"""The client of the API against a real coordinator: every operation a method, every field an attribute."""

import hashlib
import http.server
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import nacl.signing
import pytest

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.views import NetworkView
from coordinator.web import events as told
from device_client.api import Beacon, Client, ProblemError, Rows, Totals, models
from device_client.api.events import events
from device_client.api.typed import typed
from device_client.owner_signing import signed_message
from tests.docs.transcript import blocks
from tests.parts import ROOT
from tests.web import client_models
from tests.web.money import Money

METHODS = {
    name: method for name, method in inspect.getmembers(Client, inspect.isfunction) if hasattr(method, "operation")
}
STREAM = "get_events"


class Recorded(Client):
    """A client that keeps the JSON of what it was told."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.said: list[Any] = []
        ask, follow = self._at.ask, self._at.following

        def kept(answer: Any) -> Any:
            self.said.append(answer)
            return answer

        self._at.ask = lambda *given, **query: kept(ask(*given, **query))  # type: ignore[method-assign]
        self._at.following = lambda address: kept(follow(address))  # type: ignore[method-assign]


def plain(value: Any) -> Any:
    """A typed answer as the JSON that it was; what may be absent and is, is absent."""
    if hasattr(value, "_fields"):
        absent = {name for name in value._field_defaults if getattr(value, name) is None}
        return {name: plain(one) for name, one in value._asdict().items() if name not in absent}
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def values(world: Money) -> dict[str, dict[str, Any]]:
    """What to ask: by the names of arguments, and by those of methods where these need others."""
    bob, jailed = world.owner["bob"].hex(), world.id("cy0").hex()
    common = {"device": world.id("ann1").hex(), "account": world.owner["ann"].hex(), "epoch": 1, "number": 3}
    common |= {"q": "epoch 1", "batch": 1, "size": 3, "first": 1, "second": 3}
    return {
        "": common,
        "epochs": {"first": 1, "last": 4},
        "readings_file": {"first": 0, "last": 2},
        "settlements": {"account": bob},
        "quarantines_of": {"device": jailed},
        "corrections_of": {"device": world.id("ann0").hex()},
    }


def call(client: Client, name: str, given: dict[str, dict[str, Any]]) -> Any:
    wanted = [
        one.name
        for one in list(inspect.signature(METHODS[name]).parameters.values())[1:]
        if one.default is inspect.Parameter.empty or one.name in given.get(name, {})
    ]
    chosen = {**given[""], **given.get(name, {})}
    return getattr(client, name)(**{one: chosen[one] for one in wanted})


def test_every_operation_has_its_method() -> None:
    declared = [one["operationId"] for of in client_models.description()["paths"].values() for one in of.values()]
    assert sorted(method.operation for method in METHODS.values()) == sorted(declared)  # type: ignore[attr-defined]


def test_the_types_are_those_of_the_description() -> None:
    assert client_models.PATH.read_text() == client_models.text(), "run python -m tests.web.client_models"


def test_the_fields_of_a_method_are_those_of_its_operation() -> None:
    """Every field of the query is an argument, under its name or the client's own for it."""
    own = {"from": "first", "to": "last"}
    operations = {
        one["operationId"]: one for of in client_models.description()["paths"].values() for one in of.values()
    }
    for name, method in METHODS.items():
        fields = operations[method.operation]["parameters"]  # type: ignore[attr-defined]
        arguments = set(inspect.signature(method).parameters) - {"self"}
        asked = {own.get(one["name"], one["name"]) for one in fields if one["in"] == "query"} - {"cursor"}
        assert asked <= arguments, name


def test_every_answer_is_typed_and_nothing_of_it_is_lost(world: Money) -> None:
    client, given = Recorded(world.http.url), values(world)
    tried, rows = set(), 0
    for name, method in METHODS.items():
        operation: str = method.operation  # type: ignore[attr-defined]
        if not operation.startswith("get_") or operation in (STREAM, "get_owner_id", "get_openapi_json"):
            continue
        client.said.clear()
        found = call(client, name, given)
        if isinstance(found, Rows):
            assert [plain(page) for page in found.pages()] == client.said, name
            listed = list(found)
            rows += bool(listed)
            assert all(type(one).__module__ == models.__name__ for one in listed)
        elif isinstance(found, bytes):
            assert len(found) > 100, name
        else:
            assert [plain(found)] == client.said and type(found).__module__ == models.__name__, name
        tried.add(operation)
    assert len(tried) == sum(1 for of in METHODS.values() if of.operation.startswith("get_")) - 3  # type: ignore[attr-defined]
    assert rows >= 14, "lists that are not empty"
    assert client.description()["openapi"] == "3.1.0"


def test_what_it_answers_is_what_the_network_has(world: Money) -> None:
    client, ann = Client(world.http.url), world.owner["ann"].hex()
    assert client.network().devices == len(world.hands)
    assert {one.device for one in client.devices()} == {hand.id.hex() for hand in world.hands.values()}
    assert {one.device for one in client.devices(owner=ann)} < {one.device for one in client.devices(limit=2)}
    assert client.owner(ann).balance == client.earnings(ann).balance
    closed = [one for one in client.epochs() if one.closed]
    assert [client.epoch(one.number) for one in closed] == closed and len(closed) >= 6
    for one in closed:
        assert sum(row.paid for row in client.epoch_payouts(one.number)) == one.paid
    (page,) = client.epoch_payouts(1).pages()
    assert page.closed and page.epoch == 1 and page.next is None
    whole = list(client.devices())
    assert list(client.devices(limit=2)) == whole and len(whole) > 2


def test_what_is_handed_in(world: Money) -> None:
    """A statement, a message and the words of an appeal to the network that stands still: no batch takes them."""
    client = Client(world.http.url)
    hand = world.hands["ann0"]
    message = hand.report(world.at.beacon)
    taken = client.submit(message)
    assert (taken.verdict, taken.code, type(taken)) == ("ok", 0, models.Submitted) and taken.receipt
    with pytest.raises(ProblemError) as refused:
        client.submit(hand.report(bytes(40)))
    problem = refused.value.problem
    assert (problem.status, problem.code, problem.verdict) == (409, "unknown_beacon", "unknown_beacon")
    assert problem.receipt and problem.slot == taken.slot

    words, account = "It was never copied.", world.owner["cy"]
    body = [world.id("cy0"), hashlib.sha256(words.encode()).digest()]
    key, nonce = nacl.signing.SigningKey(world.seeds["cy"]), client.account(account.hex()).next_nonce
    envelope, _ = signed_message(key, account, world.net.genesis.hash, kinds.APPEAL, nonce, body)
    waiting = client.submit_owner_message(envelope)
    assert client.message(waiting.message).state == waiting.state == "waiting"
    assert client.keep_text(words).text == body[1].hex()


REFUSED: dict[str, tuple[Callable[[Client], Any], int, str]] = {
    "unknown": (lambda client: client.device("0" * 32), 404, "unknown_device"),
    "elsewhere": (lambda client: client.device("../owners"), 400, "bad_id"),
    "nul": (lambda client: client.device("\x00"), 400, "bad_id"),
    "in a list": (lambda client: list(client.devices(standing="gone")), 400, "bad_query"),
    "format": (lambda client: client.readings_file("0" * 32, "../x"), 404, "not_found"),
    "nobody": (lambda client: client.delete_readings("0" * 32, 1), 404, "unknown_device"),
    "no message": (lambda client: client.submit_owner_message(b"\x80"), 400, "malformed"),
    "no text": (lambda client: client.keep_text("nobody asked"), 404, "unknown_text"),
    "no contact": (lambda client: client.stop_notices(1, "x" * 32), 403, "not_allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_refusal_is_the_problem(world: Money, what: str) -> None:
    ask, status, code = REFUSED[what]
    with pytest.raises(ProblemError) as refused:
        ask(Client(world.http.url))
    problem = refused.value.problem
    assert (problem.status, problem.code) == (status, code) == (refused.value.status, refused.value.code)
    assert problem.detail and problem.title and problem.type == f"urn:edgetally:problem:{code}"


def test_tokens_and_addresses(world: Money) -> None:
    with pytest.raises(ProblemError, match="401 bad_token"):
        Client(world.http.url, token="et_wrong").network()
    with pytest.raises(ValueError, match="http"):
        Client("file:///etc/passwd")


def test_the_first_event_says_where_the_network_is(world: Money) -> None:
    stream = Client(world.http.url).events()
    first, second = next(stream), next(stream)
    stream.close()  # type: ignore[attr-defined]
    network = Client(world.http.url).network()
    assert isinstance(first, Beacon) and first.beacon == network.beacon
    assert isinstance(second, Totals) and second.paid == network.paid


def test_it_needs_the_standard_library_alone() -> None:
    """As on a machine with the base install and nothing else."""
    code = "import device_client.api, sys; print('json' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_events_have_the_fields_that_are_told() -> None:
    tokens = {"paid_tokens", "treasury_tokens"}
    assert set(Beacon._fields) == set(told.FIELDS[told.BEACON])
    assert set(Totals._fields) - tokens == set(told.FIELDS[told.BATCH])
    assert all(NetworkView.__annotations__[name] == of for name, of in Beacon.__annotations__.items())
    lines = ["event: later", "data: {}", "", "event: beacon", 'data: {"beacon":', "data: 1}", ""]
    with pytest.raises(ProblemError, match="Beacon without beacon_time"):
        list(events(lines, json.loads))
    with pytest.raises(ProblemError, match="too long"):
        list(events(["data: 1"] * 99, json.loads))


class Small(NamedTuple):
    number: int
    pairs: list[tuple[str, int]]
    maybe: bool | None


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"number": True, "pairs": [], "maybe": None},
        {"number": 1.0, "pairs": [], "maybe": None},
        {"number": 1, "pairs": [["a"]], "maybe": None},
        {"number": 1, "pairs": {}, "maybe": None},
        {"number": 1, "pairs": [], "maybe": 0},
    ],
)
def test_what_is_not_what_it_should_be_is_refused(wrong: Any) -> None:
    right = {"number": 1, "pairs": [["a", 2]], "maybe": None, "later": "skipped"}
    assert typed(Small, right) == Small(1, [("a", 2)], None)
    with pytest.raises(ProblemError, match="bad_answer"):
        typed(Small, wrong)


class _Busy(http.server.BaseHTTPRequestHandler):
    """Says 503 so often, then answers."""

    left = 0

    def do_GET(self) -> None:
        busy = type(self).left > 0
        type(self).left -= 1
        body = BUSY if busy else b'{"text": "harbour"}'
        self.send_response(503 if busy else 200)
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


BUSY = (
    b'{"type": "t", "title": "Too busy", "status": 503, "code": "overloaded", "detail": "Too busy.", "instance": "/"}'
)


def test_it_waits_as_long_as_it_is_told_and_not_for_ever() -> None:
    waited: list[float] = []
    with http.server.HTTPServer(("127.0.0.1", 0), _Busy) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            client = Client(f"http://127.0.0.1:{server.server_port}", sleep=waited.append)
            _Busy.left = 2
            assert client.description() == {"text": "harbour"} and waited == [7, 7]
            _Busy.left = 99
            with pytest.raises(ProblemError, match="overloaded"):
                client.description()
            assert len(waited) == 5
        finally:
            server.shutdown()
            thread.join()


def test_the_examples_of_the_guide_run(world: Money, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs/guides/api-client.md").read_text()
    found = blocks(text, "python")
    assert len(found) == 3
    names = {"DEVICE": world.id("ann1").hex(), "OWNER": world.owner["ann"].hex()}
    shared: dict[str, Any] = {}
    for example in found:
        for name, value in names.items():
            example = example.replace(name, value)
        exec(example.replace("http://127.0.0.1:8080", world.http.url), shared)
    said = capsys.readouterr().out
    assert all(hand.id.hex() in said for hand in world.hands.values())
    assert "404 unknown_device" in said and "beacon" in said and "reward" in said
