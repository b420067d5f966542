"""Slow clients against the real server: a head that never ends, a body that never ends, an answer that nobody takes,
and more connections than there may be."""

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from coordinator.web.app import make_app
from coordinator.web.limits import Limits
from tests.web.fakes import FakeReader, FakeSubmit, world
from tests.web.serving import HOST, Client, serving

LIMITS = Limits(keepalive_timeout_s=0.5, request_timeout_s=0.3, answer_timeout_s=0.3, connections_max=4)
HEAD = b"GET /api/v1/devices?limit=500 HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/statements HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cbor\r\n"
GONE = select.POLLHUP | select.POLLERR | select.POLLRDHUP


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with serving(make_app(FakeReader(world(devices=400, closed=1)), FakeSubmit(), limits=LIMITS)) as client:
        yield client


@pytest.fixture
def connect(client: Client) -> Iterator[Callable[[], socket.socket]]:
    opened: list[socket.socket] = []

    def connected() -> socket.socket:
        made = socket.socket()
        opened.append(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.settimeout(10)
        made.connect((HOST, client.port))
        return made

    yield connected
    for one in opened:
        one.close()


def is_let_go(one: socket.socket) -> bool:
    """Whether the server ends the connection, although nobody reads."""
    poll = select.poll()
    poll.register(one, GONE)
    return bool(poll.poll(10_000))


def refused(client: Client, code: str) -> int:
    return int(client.get("/api/v1/network").json["http_refusals"].get(code, 0))


@pytest.mark.parametrize(
    "said", [b"", b"GET /", HEAD, HEAD + b"A: ", b"GET /api/v1/network HTTP/1.1\r\nHost: localhost\r\n\r\n" + HEAD]
)
def test_a_head_that_never_ends_is_given_up(client: Client, connect: Callable[[], socket.socket], said: bytes) -> None:
    slow = connect()
    slow.sendall(said)
    assert is_let_go(slow) and client.get("/api/v1/network").status == 200


@pytest.mark.parametrize(
    "said",
    [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"Content-Length: 9\r\n\r\n"],
)
def test_a_body_that_never_ends_is_given_up(client: Client, connect: Callable[[], socket.socket], said: bytes) -> None:
    slow = connect()
    slow.sendall(POST + said)
    answer = slow.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503") and b"timeout" in answer and client.get("/api/v1/network").status == 200


def test_an_answer_that_nobody_takes_is_thrown_away(client: Client, connect: Callable[[], socket.socket]) -> None:
    before, slow = refused(client, "timeout"), connect()
    slow.sendall((HEAD + b"\r\n") * 40)
    assert is_let_go(slow)
    assert refused(client, "timeout") == before + 1


def test_more_connections_than_there_may_be_are_ended(connect: Callable[[], socket.socket]) -> None:
    held = [connect() for _ in range(LIMITS.connections_max)]
    assert is_let_go(connect())
    held[0].sendall(b"GET /api/v1/network HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    told = b"".join(iter(lambda: held[0].recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 200") and b'"overloaded": ' in told
