"""The pages and the API, put together and served, in whichever process (ADR 0037)."""

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from coordinator.asking import Deletions, Owners, Statements, WholeHealth
from coordinator.engine.genesis import Genesis
from coordinator.enrolling import Enrolling
from coordinator.housekeeping import Housekeeping
from coordinator.inside import Ask
from coordinator.operating import Operating
from coordinator.owner_notices import notices_port
from coordinator.settings import HttpSettings, Settings
from coordinator.store.access import AccessStore
from coordinator.store.contacts import Contacts
from coordinator.store.home import Home
from coordinator.store.operator_log import OperatorLog, Texts
from coordinator.store.queries import Queries
from coordinator.store.stores import Stores
from coordinator.tls import LOOK_S, Certificate
from coordinator.web.app import make_app
from coordinator.web.events import PUBLISHER, Publisher
from coordinator.web.hosts import place_of
from coordinator.web.limits import DEFAULT
from coordinator.web.metrics import METERS, Meters
from coordinator.web.ports import BrokerAddress, People
from coordinator.web.server import Runner

BACKLOG = 128


class Network(NamedTuple):
    """What the web needs of a network, wherever it is; `base` is the folder of network.toml, `coordinator` the process
    that takes statements in."""

    settings: Settings
    base: Path
    home: Home
    genesis: Genesis
    stores: Stores
    queries: Queries
    ask: Ask
    coordinator: int
    clock: Callable[[], float] = time.time


class Served:
    """A web that runs, for what it must be told."""

    def __init__(self, publisher: Publisher, meters: Meters, certificate: Certificate | None) -> None:
        self._publisher = publisher
        self._meters = meters
        self._certificate = certificate

    def beacon(self, _number: int = 0) -> None:
        self._publisher.beacon()

    def batch(self) -> None:
        self._publisher.batch()

    def sealed(self, seconds: float) -> None:
        self._meters.batches.observe(seconds)

    def reload(self) -> None:
        if self._certificate is not None:
            self._certificate.renew()


def certificate_of(http: HttpSettings, base: Path) -> Certificate | None:
    """Raises BadCertificate."""
    return Certificate(base / http.certfile, base / http.keyfile) if http.certfile else None


@contextlib.contextmanager
def listening(http: HttpSettings) -> Iterator[list[socket.socket]]:
    """Sockets that take connections for the pages, whoever answers them. Raises OSError: a port is taken, a host is
    unknown."""
    with contextlib.ExitStack() as stack:
        found = socket.getaddrinfo(http.host or None, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        made = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            made.append(stack.enter_context(socket.socket(family, kind, protocol)))
            made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                made[-1].bind(address)
            except OSError as error:
                told = f"cannot listen on {http.host} port {http.port}: {error.strerror}"
                raise OSError(error.errno, told) from None
            made[-1].listen(BACKLOG)
            made[-1].setblocking(False)
        yield made


@contextlib.asynccontextmanager
async def serving(network: Network, sockets: list[socket.socket], failures: Counter[str]) -> AsyncIterator[Served]:
    """Raises BadCertificate, OSError."""
    settings, home, ask = network.settings, network.home, network.ask
    http = settings.http
    certificate = certificate_of(http, network.base)
    access = await AccessStore.open(home)
    try:
        book, texts = OperatorLog(access.engine, network.clock), Texts(access.engine, network.clock)
        people = People(
            access,
            book,
            texts,
            Contacts(access.engine),
            Enrolling(settings, network.base, home, network.genesis, network.stores),
            Operating(home, network.genesis, network.queries, book, texts),
            Housekeeping(home),
        )
        health = WholeHealth(ask, failures)
        app = make_app(
            network.queries,
            Statements(ask),
            Owners(ask, network.queries),
            broker=BrokerAddress(*settings.broker.address, settings.broker.is_tls),
            flash_images=network.base / http.flash_images if http.flash_images else None,
            people=people,
            place=place_of(http.host, http.public_url, http.hosts, http.proxies, bool(http.certfile)),
            deletions=Deletions(ask),
            health=health,
            process=network.coordinator,
            owner_notices=await notices_port(access),
            limits=DEFAULT._replace(
                requests_per_s=http.requests_per_s, requests_burst=5 * http.requests_per_s, live_max=http.live_max
            ),
            map_devices_min=http.map_devices_min,
        )
        publisher = health.publisher = app[PUBLISHER]
        runner = Runner(app)
        await runner.setup()
        try:
            context = certificate.context if certificate else None
            for each in sockets:
                # A socket of its own: the site closes it at its end, and others may go on to answer on ours.
                site = web.SockSite(runner, each.dup(), ssl_context=context, backlog=BACKLOG)
                await site.start()
            async with _watched(certificate):
                yield Served(publisher, app[METERS], certificate)
        finally:
            await runner.cleanup()
    finally:
        await access.close()


@contextlib.asynccontextmanager
async def _watched(certificate: Certificate | None) -> AsyncIterator[None]:
    """Whoever renews a certificate need not tell us."""

    async def watch(of: Certificate) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(of.look)

    task = asyncio.create_task(watch(certificate), name="certificate") if certificate else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
