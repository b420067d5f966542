"""Faults, time-outs and overload: one shape, no word of the inside, and the server goes on."""

import asyncio
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.web.app import make_app
from coordinator.web.limits import Limits
from tests.web.fakes import FakeReader, FakeSubmit, World, world
from tests.web.serving import HOST, Client, serving
from tests.web.test_api import assert_problem

SECRET = "sqlite:///secret/path"


def test_a_fault_is_told_without_its_inside() -> None:
    reader = FakeReader(world(devices=2, closed=1))
    with serving(make_app(reader, FakeSubmit())) as client:
        reader.fault = RuntimeError(SECRET)
        answer = client.get("/api/v1/network")
        assert_problem(answer, 500, "fault")
        page = client.page("/")
        assert (page.status, page.type) == (500, "text/html")
        for text in (answer.text, page.text):
            assert SECRET not in text
            assert "Traceback" not in text
        reader.fault = TimeoutError()
        assert_problem(client.get("/api/v1/network"), 500, "fault")
        reader.fault = None
        assert client.get("/api/v1/network").json["http_refusals"] == {"fault": 3}


def test_a_slow_reader_is_given_up() -> None:
    reader = FakeReader(world(devices=1, closed=0))
    with serving(make_app(reader, FakeSubmit(), limits=Limits(request_timeout_s=0.05))) as client:
        reader.delay = lambda: asyncio.Event().wait()
        answer = client.get("/api/v1/network")
        assert_problem(answer, 503, "timeout")
        assert answer.headers["Retry-After"]
        reader.delay = None
        assert client.get("/api/v1/network").status == 200


def test_more_requests_than_can_be_answered_are_refused_at_once() -> None:
    reader = FakeReader(world(devices=1, closed=0))
    entered, release = threading.Event(), threading.Event()

    async def held() -> None:
        entered.set()
        await asyncio.get_running_loop().run_in_executor(None, release.wait)

    with (
        serving(make_app(reader, FakeSubmit(), limits=Limits(in_flight_max=1))) as client,
        ThreadPoolExecutor() as pool,
    ):
        reader.delay = held
        first = pool.submit(client.get, "/api/v1/network")
        assert entered.wait(10)
        assert_problem(client.get("/api/v1/network"), 503, "overloaded")
        reader.delay = None
        release.set()
        assert first.result(10).status == 200
        assert client.get("/api/v1/network").status == 200


def test_a_body_that_never_comes_is_given_up() -> None:
    reader = FakeReader(world(devices=1, closed=0))
    limits = Limits(request_timeout_s=0.1)
    with (
        serving(make_app(reader, FakeSubmit(), limits=limits)) as client,
        socket.create_connection((HOST, client.port), 10) as raw,
    ):
        head = (
            "POST /api/v1/statements HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Type: application/cbor\r\nContent-Length: 9\r\n\r\n"
        )
        raw.sendall(head.encode() + b"abc")
        assert b"HTTP/1.1 503" in raw.recv(4096)


SEGMENTS = st.one_of(
    st.sampled_from(
        ["api", "v1", "network", "devices", "owners", "epochs", "readings", "explain", "payouts", "static"]
    ),
    st.sampled_from(["search", "rewards", "presence", "statements", "style.css", "..", ".", "%2e%2e", "%00", "0" * 32]),
    st.text("0123456789abcdef", min_size=30, max_size=34),
    st.text("abc019%/.~+:@!$&'()*,;=<>[]{}|\\^`\"-_", max_size=12).map(lambda text: text.replace(" ", "")),
    st.binary(min_size=1, max_size=8).map(lambda data: "".join(f"%{byte:02x}" for byte in data)),
    st.integers(-(10**40), 10**40).map(str),
)
NAMES = st.sampled_from(["limit", "after", "before", "epoch", "q", "live", "v", "", "limit%00", "%ff"])
FIELDS = st.lists(st.tuples(NAMES, SEGMENTS), max_size=4).map(lambda rows: "&".join("=".join(row) for row in rows))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(["/", "/api/v1/", "/devices/", "/owners/", "/search", "/static/", "//"]),
    segments=st.lists(SEGMENTS, max_size=3),
    query=FIELDS,
    real=st.booleans(),
    method=st.sampled_from(["GET", "GET", "GET", "POST", "HEAD", "DELETE"]),
    accept=st.sampled_from(["text/html", "*/*"]),
)
def test_hostile_targets_never_find_a_fault(
    client: Client, shown: World, head: str, segments: list[str], query: str, real: bool, method: str, accept: str
) -> None:
    if real and segments:
        segments[0] = next(iter(shown.devices)).hex()
    target = head + "/".join(segments) + (f"?{query}" if query else "")
    answer = client(method, target, Accept=accept)
    assert answer.status < 500, target
    assert answer.headers["Content-Security-Policy"]
    if answer.status >= 400 and (target.startswith("/api/") or accept == "*/*"):
        assert answer.type == "application/problem+json", target
        if method != "HEAD":
            assert answer.json["status"] == answer.status


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=1500), kind=st.sampled_from(["application/cbor", "text/html", "a/b; c=\x7f"]))
def test_hostile_bodies_never_find_a_fault(client: Client, body: bytes, kind: str) -> None:
    answer = client("POST", "/api/v1/statements", body, Content_Type=kind)
    assert answer.status < 500
    if answer.status >= 400:
        assert answer.json["status"] == answer.status


@pytest.mark.parametrize(
    "raw",
    [
        b"BREW /api/v1/network HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /<script> \x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /api/v1/statements HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_not_http_gets_the_same_shape(client: Client, raw: bytes) -> None:
    with socket.create_connection((HOST, client.port), 10) as connection:
        connection.sendall(raw)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    assert response.status == 400
    assert response.headers.get_content_type() == "application/problem+json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(body)["code"] == "bad_request"
