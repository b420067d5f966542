"""`/api/v1/events`: what changes in the network, as server-sent events (WHATWG HTML, section 9.2).

    beacon   with every beacon, and first of all to whoever connects: where the network is
    batch    when the stores hold a new batch: the totals
    epoch    when an epoch has closed: its row

Data are fields of `GET /api/v1/network` and `GET /api/v1/epochs/{n}` under their names; `id` is the beacon's number.
Every event tells whole values, so who has missed some has missed nothing once the next one comes.

beacon(), batch() -> run(): one read of the network for all -> a bounded queue for each client -> the client
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable

import structlog
from aiohttp import web

from coordinator.kernel.views import NetworkView
from coordinator.web import hosts, shapes
from coordinator.web.api import PREFIX
from coordinator.web.keys import DEADLINE, IN_FLIGHT, LIMITS, PLACE, READER
from coordinator.web.limits import Limits
from coordinator.web.openapi import TEXT, operation
from coordinator.web.ports import Reader
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json

log = structlog.get_logger("web")
BEACON, BATCH, EPOCH = "beacon", "batch", "epoch"
FIELDS = {
    BEACON: ("beacon", "beacon_time", "beacon_interval_s", "epoch", "epoch_beacons", "refusals"),
    BATCH: ("batches", "statements", "devices", "quarantined", "owners", "paid", "treasury"),
}
RETRY_MS = 3000
QUEUE_MAX = 16  # events that wait for one client
BUFFER_BYTES_MAX = 32 << 10  # written for one client and not taken by it
EPOCHS_MAX = 8  # told after one batch
SLOW, TOO_MANY = "slow", "too_many"
HEARTBEAT, END = b": still here\n\n", b""

routes = web.RouteTableDef()


class Client:
    """One connection. `dropped` says why we ended it; that the server stops is no reason."""

    def __init__(self, address: str, request: web.Request) -> None:
        self.address = address
        self.dropped = ""
        self._request = request
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MAX + 1)  # and the end

    @property
    def is_gone(self) -> bool:
        transport = self._request.transport
        return transport is None or transport.is_closing()

    def put(self, event: bytes) -> None:
        if self._queue.qsize() < QUEUE_MAX:
            self._queue.put_nowait(event)
        else:
            self.drop(SLOW)

    def end(self) -> None:
        if not self._queue.full():
            self._queue.put_nowait(END)

    def drop(self, why: str) -> None:
        """What it has not taken is nothing that it will take now: that also ends a write that waits for it."""
        self.dropped = self.dropped or why
        if self._request.transport is not None:
            self._request.transport.abort()
        self.end()

    async def next(self, heartbeat_s: float) -> bytes:
        try:
            async with asyncio.timeout(heartbeat_s):
                return await self._queue.get()
        except TimeoutError:
            return HEARTBEAT

    async def takes(self, response: web.StreamResponse, event: bytes) -> bool:
        """Write one event; False where it is the last one. Never waits for a client that does not read."""
        transport = self._request.transport
        if event == END or transport is None:
            return False
        if transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            self.drop(SLOW)
            return False
        await response.write(event)
        return True


class Publisher:
    """Everybody who listens. `beacon` and `batch` are called from the loop and wait for nothing."""

    def __init__(self, reader: Reader, limits: Limits) -> None:
        self.limits = limits
        self.dropped: Counter[str] = Counter()
        self._reader = reader
        self._clients: set[Client] = set()
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._closed = False
        self._told_epoch: int | None = None

    @property
    def connections(self) -> int:
        return len(self._clients)

    def beacon(self, _number: int = 0) -> None:
        self._due.add(BEACON)
        self._wake.set()

    def batch(self) -> None:
        self._due |= {BATCH, EPOCH}
        self._wake.set()

    async def run(self) -> None:
        """Tells what is due, for ever. Nothing is read while nobody listens."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, set()
            self._forget_gone()
            if not self._clients:
                self._told_epoch = None
                continue
            try:
                await self._tell(due)
            except OSError as error:  # the next beacon tells it again
                log.warning("storage_failed", what="events", error=str(error))

    async def _tell(self, due: set[str]) -> None:
        network = await self._reader.network()
        for name in (BEACON, BATCH):
            if name in due:
                self.publish(name, network.beacon, told(name, network))
        if EPOCH in due:
            for row in await self._closed_epochs():
                self.publish(EPOCH, network.beacon, row)

    async def _closed_epochs(self) -> Iterable[Json]:
        """Those that closed since the last time, oldest first."""
        found = [one for one in await self._reader.epochs(None, EPOCHS_MAX) if one.closed]
        before, self._told_epoch = self._told_epoch, max((one.number for one in found), default=-1)
        return [shapes.plain(one) for one in reversed(found) if before is not None and one.number > before]

    def publish(self, name: str, number: int, data: Json) -> None:
        event = written(name, number, data)
        for client in tuple(self._clients):
            client.put(event)

    @contextlib.asynccontextmanager
    async def admitted(self, request: web.Request) -> AsyncIterator[Client]:
        """Raises Problem overloaded, too_many."""
        if self._closed:
            raise Problem(503, "overloaded", "The server is stopping. Try again.")
        self._forget_gone()
        address = hosts.address(request, request.app[PLACE])
        from_there = sum(one.address == address for one in self._clients)
        if len(self._clients) >= self.limits.live_max or from_there >= self.limits.live_per_address_max:
            self.dropped[TOO_MANY] += 1
            retry = {"Retry-After": str(self.limits.retry_after_s)}
            raise Problem(503, "too_many", "Too many listen already. The pages show the same numbers.", headers=retry)
        client = Client(address, request)
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)
            if client.dropped:
                self.dropped[client.dropped] += 1

    def _forget_gone(self) -> None:
        """Whoever has gone is noticed at the next write only, and must not keep others out until then."""
        for client in tuple(self._clients):
            if client.is_gone:
                self._clients.discard(client)
                client.end()

    async def first(self) -> list[bytes]:
        """What a new client is told: all that the numbers are now."""
        network = await self._reader.network()
        if self._told_epoch is None:
            await self._closed_epochs()
        return [written(name, network.beacon, told(name, network)) for name in (BEACON, BATCH)]

    def close(self) -> None:
        """End all connections, at the end of an event; nobody comes in any more."""
        self._closed = True
        for client in tuple(self._clients):
            client.end()


PUBLISHER: web.AppKey[Publisher] = web.AppKey("publisher", Publisher)


def add(app: web.Application) -> Publisher:
    """The route, and a publisher that begins and ends with the application."""
    app[PUBLISHER] = publisher = Publisher(app[READER], app[LIMITS])

    async def publishing(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(publisher.run(), name="events")
        yield
        task.cancel()
        await asyncio.wait([task])

    async def stop(_app: web.Application) -> None:
        publisher.close()

    app.cleanup_ctx.append(publishing)
    app.on_shutdown.append(stop)
    app.add_routes(routes)
    return publisher


def told(name: str, network: NetworkView) -> Json:
    """The fields of an event, as the API writes them."""
    every = shapes.plain(network)
    amounts = tuple(f"{each}_tokens" for each in FIELDS[name])
    return {key: every[key] for key in (*FIELDS[name], *amounts) if key in every}


def written(name: str, number: int, data: Json) -> bytes:
    return f"event: {name}\nid: {number}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


@routes.get(PREFIX + "/events", allow_head=False)
@operation(
    "Beacons, batches and closed epochs as they come, until the connection ends",
    answers={200: {"text/event-stream": TEXT}},
    refuses={503: ("too_many",)},
)
async def events(request: web.Request) -> web.StreamResponse:
    """Answers until the client goes, is too slow, or the server stops."""
    publisher = request.app[PUBLISHER]
    async with publisher.admitted(request) as client:
        first = await publisher.first()
        request[DEADLINE].reschedule(None)
        request[IN_FLIGHT]()
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):  # they leave as they like
            await response.write(b"retry: %d\n\n" % RETRY_MS + b"".join(first))
            while await client.takes(response, await client.next(publisher.limits.live_heartbeat_s)):
                pass
    return response
