"""Routes of the web application, as it declares them."""

from functools import cache
from typing import Any

from aiohttp import web

from coordinator.web.app import make_app
from coordinator.web.ports import People
from tests.web.fakes import FakeHealth


@cache
def application() -> web.Application:
    """With everything switched on; nobody asks it."""
    nothing: Any = None
    people = People(*[nothing] * len(People._fields))
    return make_app(nothing, nothing, Any, people=people, deletions=Any, owner_notices=Any, health=FakeHealth())


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route, GET without its HEAD."""
    found = []
    for resource in application().router.resources():
        for route in resource:
            if route.method != "HEAD":
                found.append((route.method, resource.canonical))
    return sorted(found, key=lambda one: (one[1], one[0]))
