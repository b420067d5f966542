"""The runner that serves the application: what the HTTP parser refuses gets the same shape as everything else.

aiohttp answers a broken request line before there is a request, in plain text that repeats the line. `Runner` is an
`AppRunner` whose connections answer with a problem document instead. Use it wherever the application is served.
"""

import asyncio
import socket
import struct

import structlog
from aiohttp import web

from coordinator.web import problems
from coordinator.web.headers import SECURITY
from coordinator.web.keys import LIMITS
from coordinator.web.limits import Limits
from coordinator.web.problems import REFUSED, Problem

log = structlog.get_logger("web")

BAD_REQUEST = "This is not an HTTP request that this server understands."
FULL = "All connections are taken."
SLOW = "The answer was not taken."
FAULT = "This is our fault, not yours. It has been logged."


class _Connection(web.RequestHandler):
    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        manager = self._server
        if len(manager.connections) > manager.limits.connections_max:
            manager.count(Problem(503, "overloaded", FULL))
            self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Who takes nothing of an answer is let go: its bytes lie in our memory until then."""
        server = self._manager
        # A file is sent from the disk, as fast as it is taken; without a server the connection is gone already.
        if isinstance(resp, web.FileResponse) or not isinstance(server, _Server):
            return await super().finish_response(request, resp, start_time)
        try:
            async with asyncio.timeout(server.limits.answer_timeout_s):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            server.count(Problem(503, "timeout", SLOW))
            if self.transport is not None:
                _drop(self.transport)
            return resp, True

    @property
    def _server(self) -> "_Server":
        assert isinstance(self._manager, _Server)
        return self._manager

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what never reached a handler, or broke outside of one. Closes the connection."""
        problem = Problem(status, "bad_request", BAD_REQUEST)
        if status >= 500:
            problem = Problem(500, "fault", FAULT)
            log.error("fault", exc_info=exc)
        self._server.count(problem)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = problems.as_json(problem, request)
        response.headers.update(SECURITY)
        response.force_close()
        return response


def _drop(transport: asyncio.Transport) -> None:
    """End a connection with a reset: what it has not taken would else lie in the kernel until it does."""
    taken = transport.get_extra_info("socket")
    if taken is not None:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _Server(web.Server):
    runner: "Runner"

    @property
    def limits(self) -> Limits:
        return self.runner.app[LIMITS]

    def count(self, problem: Problem) -> None:
        self.runner.app[REFUSED][problem.code] += 1

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """AppRunner with one error shape down to the parser."""

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # The application builds its server itself and takes no other class for it.
        server.__class__ = _Server
        assert isinstance(server, _Server)
        server.runner = self
        return server
