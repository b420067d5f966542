"""The middleware around every handler: bounds in number and time, and one shape for whatever goes wrong."""

import asyncio

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from coordinator.web import pages, problems
from coordinator.web.keys import DEADLINE, IN_FLIGHT, LIMITS
from coordinator.web.problems import REFUSED, Problem

log = structlog.get_logger("web")


def make_guard() -> Middleware:
    """A middleware with its own count of requests in flight."""
    in_flight = 0

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal in_flight
        limits = request.app[LIMITS]
        retry = {"Retry-After": str(limits.retry_after_s)}
        if in_flight >= limits.in_flight_max:
            problem = Problem(503, "overloaded", "Too many requests are being answered. Try again.", headers=retry)
            return refuse(request, problem)
        in_flight += 1
        counted = True

        def leave() -> None:
            nonlocal in_flight, counted
            in_flight -= counted
            counted = False

        request[IN_FLIGHT] = leave
        try:
            async with asyncio.timeout(limits.request_timeout_s) as deadline:
                request[DEADLINE] = deadline
                return await handler(request)
        except Problem as problem:
            return refuse(request, problem)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return refuse(request, problems.from_http(error))
        except Exception as error:
            if isinstance(error, TimeoutError) and deadline.expired():
                detail = f"No answer within {limits.request_timeout_s:g} seconds. Try again."
                return refuse(request, Problem(503, "timeout", detail, headers=retry))
            log.exception("fault", method=request.method, path=request.rel_url.raw_path)
            return refuse(request, Problem(500, "fault", "This is our fault, not yours. It has been logged."))
        finally:
            leave()

    return guard


def refuse(request: web.Request, problem: Problem) -> web.Response:
    """Count a problem and answer it, as a page where a person asks."""
    request.app[REFUSED][problem.code] += 1
    if problems.wants_page(request):
        return pages.problem(request, problem)
    return problems.as_json(problem, request)
