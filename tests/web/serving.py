"""A real server on a free port in a thread of its own, and a client of the standard library."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from aiohttp import web

from coordinator.web.server import Runner
from tests.parts import free_port

HOST = "127.0.0.1"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return self.headers.get_content_type()


class Client:
    """One connection a request: what a test sends cannot spoil the next."""

    def __init__(self, port: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.port = port
        self.loop = loop
        self.url = f"http://{HOST}:{port}"

    def __call__(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, {"Connection": "close", **names})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Answer:
        return self("GET", target, **headers)

    def page(self, target: str) -> Answer:
        return self("GET", target, Accept="text/html,application/xhtml+xml")


@contextmanager
def serving(app: web.Application) -> Iterator[Client]:
    """Serve until the block ends."""
    loop, port, ready = asyncio.new_event_loop(), free_port(), threading.Event()
    runner = Runner(app)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
        ready.set()

    thread = threading.Thread(target=loop.run_forever, name="web under test")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield Client(port, loop)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
