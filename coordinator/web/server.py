"""The runner that serves the application: what the HTTP parser refuses gets the same shape as everything else.

aiohttp answers a broken request line before there is a request, in plain text that repeats the line. `Runner` is an
`AppRunner` whose connections answer with a problem document instead. Use it wherever the application is served.
"""

import structlog
from aiohttp import web

from coordinator.web import problems
from coordinator.web.headers import SECURITY
from coordinator.web.problems import REFUSED, Problem

log = structlog.get_logger("web")

BAD_REQUEST = "This is not an HTTP request that this server understands."
FAULT = "This is our fault, not yours. It has been logged."


class _Connection(web.RequestHandler):
    __slots__ = ()

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
        assert isinstance(self._manager, _Server)
        self._manager.count(problem)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = problems.as_json(problem, request)
        response.headers.update(SECURITY)
        response.force_close()
        return response


class _Server(web.Server):
    runner: "Runner"

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
