"""Server-sent events over real sockets: what is told, who is let in, and who is sent away."""

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from coordinator.kernel.views import NetworkView
from coordinator.web.app import make_app
from coordinator.web.events import PUBLISHER, QUEUE_MAX, RETRY_MS, Publisher
from coordinator.web.limits import DEFAULT
from tests.web.fakes import FakeReader, FakeSubmit, World, world
from tests.web.living import EPOCH, Living, living
from tests.web.serving import HOST, Client, serving

HEARTBEAT_S = 0.05


class Event(NamedTuple):
    name: str
    id: int
    data: dict[str, Any]


class Listener:
    """A browser's EventSource, nearly: it reads what comes, and does not come back."""

    def __init__(self, port: int, buffer_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.socket.settimeout(10)
        self.socket.connect((HOST, port))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value
        self.comments = 0
        self.retry_ms = 0

    def chunk(self) -> bytes:
        """One chunk of the answer, empty at its end."""
        size = int(self.file.readline(), 16)
        body = self.file.read(size)
        self.file.readline()
        return body

    def events(self) -> Iterator[Event]:
        while chunk := self.chunk():
            for block in chunk.decode().split("\n\n")[:-1]:
                fields = dict(re.findall(r"^(\w+): (.*)$", block, re.MULTILINE))
                self.comments += block.startswith(":")
                self.retry_ms = int(fields.get("retry", self.retry_ms))
                if "event" in fields:
                    yield Event(fields["event"], int(fields["id"]), json.loads(fields["data"]))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Stage(NamedTuple):
    client: Client
    app: web.Application
    shown: World

    @property
    def publisher(self) -> Publisher:
        return self.app[PUBLISHER]

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """In the loop of the server."""
        assert self.client.loop is not None
        self.client.loop.call_soon_threadsafe(call, *args)

    def listener(self, **options: int) -> contextlib.closing[Listener]:
        return contextlib.closing(Listener(self.client.port, **options))


@contextlib.contextmanager
def staged(**limits: Any) -> Iterator[Stage]:
    shown = world(devices=3, closed=2)
    app = make_app(FakeReader(shown), FakeSubmit(), limits=DEFAULT._replace(**limits))
    with serving(app) as client:
        yield Stage(client, app, shown)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("events")) as made:
        yield made.enrolled()


def test_beacons_batches_and_epochs_are_told_as_the_api_says_them(place: Living) -> None:
    with contextlib.closing(Listener(place.client.port)) as listener:
        assert listener.status == 200
        assert listener.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert listener.headers["cache-control"] == "no-store"
        coming = listener.events()
        first = [next(coming), next(coming)]
        assert [one.name for one in first] == ["beacon", "batch"] and listener.retry_ms == RETRY_MS
        place.live(2 * EPOCH)
        seen: dict[str, list[Event]] = {"beacon": [], "batch": [], "epoch": []}
        while not seen["epoch"]:
            one = next(coming)
            seen[one.name].append(one)
        network = place.client.get("/api/v1/network").json
        row = place.client.get(f"/api/v1/epochs/{seen['epoch'][0].data['number']}").json
        assert seen["epoch"][0].data == row and row["closed"]
        assert [one.id for one in seen["beacon"]] == sorted({one.id for one in seen["beacon"]})
        assert seen["beacon"] and all(one.data["beacon"] == one.id for one in seen["beacon"])
    with contextlib.closing(Listener(place.client.port)) as again:
        told = again.events()
        for one in (next(told), next(told)):  # a client that missed events has missed nothing
            assert one.data == {name: network[name] for name in one.data}


def test_connections_are_counted_among_the_metrics(place: Living) -> None:
    def connections() -> float:
        return float(re.findall(r"^edgetally_live_connections (\S+)", place.client.get("/metrics").text, re.M)[0])

    with contextlib.closing(Listener(place.client.port)):
        assert connections() == 1


def test_there_is_a_heartbeat_and_a_long_answer_is_no_timeout() -> None:
    with (
        staged(live_heartbeat_s=HEARTBEAT_S, request_timeout_s=2 * HEARTBEAT_S) as stage,
        stage.listener() as listener,
    ):
        chunks = [listener.chunk() for _ in range(8)]
        assert chunks[1:] == [b": still here\n\n"] * 7


def test_listeners_do_not_count_as_requests_in_flight() -> None:
    with staged(in_flight_max=1) as stage, stage.listener() as listener:
        next(listener.events())
        assert stage.client.get("/api/v1/network").status == 200


@pytest.mark.parametrize("limit", ["live_max", "live_per_address_max"])
def test_too_many_are_refused_by_name_and_who_goes_makes_room(limit: str) -> None:
    with staged(**{limit: 2}) as stage:
        with stage.listener() as one, stage.listener() as other, stage.listener() as third:
            assert (one.status, other.status, third.status) == (200, 200, 503)
            assert third.headers["retry-after"] and third.headers["content-type"] == "application/problem+json"
            assert stage.publisher.dropped == {"too_many": 1}
            refused = stage.client.get("/api/v1/network").json["http_refusals"]
            assert refused == {"too_many": 1}
        with contextlib.ExitStack() as stack:
            answers = [stack.enter_context(stage.listener()).status for _ in range(2)]
        assert answers == [200, 200]  # though nothing was written in between


def test_who_does_not_read_is_sent_away_and_nobody_waits_for_it() -> None:
    with staged() as stage, stage.listener(buffer_bytes=4096) as stuck, stage.listener() as reader:
        assert stuck.status == reader.status == 200
        coming = reader.events()
        assert [next(coming).name, next(coming).name] == ["beacon", "batch"]
        padding = {"padding": "x" * (64 << 10)}
        for number in range(1000):  # the kernel takes some megabytes before it takes no more
            stage.soon(stage.publisher.publish, "beacon", number, padding)
            assert next(coming).id == number
            if stage.publisher.dropped:
                break
        assert stage.publisher.dropped == {"slow": 1}
        assert stage.publisher.connections == 1
        stage.soon(stage.publisher.publish, "beacon", 1001, {})
        assert next(coming).id == 1001


def test_more_at_once_than_fits_is_too_slow() -> None:
    with staged() as stage, stage.listener() as listener:
        coming = listener.events()
        next(coming)

        def burst() -> None:
            for number in range(QUEUE_MAX + 1):
                stage.publisher.publish("beacon", number, {})

        stage.soon(burst)
        with contextlib.suppress(ValueError, ConnectionError):  # the answer breaks off
            for _ in coming:
                pass
        assert stage.publisher.dropped == {"slow": 1}


def test_the_end_of_the_server_ends_every_answer_whole() -> None:
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(staged())
        listener = Listener(stage.client.port)
        coming = listener.events()
        next(coming)
        stage_over = stack.pop_all()
        stage_over.close()  # waits for nobody
        assert [one.name for one in coming] == ["batch"]  # and then the last chunk
        listener.close()
        assert stage.publisher.dropped == {}


def test_a_store_that_cannot_be_read_ends_nothing() -> None:
    class Failing(FakeReader):
        failures = 0

        async def network(self) -> NetworkView:
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is full")
            return await super().network()

    reader = Failing(world(devices=3, closed=2))
    app = make_app(reader, FakeSubmit())
    with serving(app) as client:
        stage = Stage(client, app, reader.world)
        with stage.listener() as listener:
            coming = listener.events()
            assert [next(coming).name, next(coming).name] == ["beacon", "batch"]
            reader.failures = 1
            for _ in range(2):
                stage.soon(stage.publisher.beacon)
                stage.client.get("/livez")  # when it has answered, the publisher has had its turn
            assert next(coming).name == "beacon" and reader.failures == 0


def test_only_get_and_only_one_way(client: Client) -> None:
    for method in ("HEAD", "POST"):
        assert client(method, "/api/v1/events").status == 405
