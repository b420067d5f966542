"""Routes of the web application, as it declares them."""

from typing import Any

from coordinator.web.app import make_app
from coordinator.web.ports import People
from tests.web.fakes import FakeHealth


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route, GET without its HEAD."""
    nothing: Any = None
    found = []
    people = People(*[nothing] * len(People._fields))
    made = make_app(nothing, nothing, Any, people=people, deletions=Any, owner_notices=Any, health=FakeHealth())
    for resource in made.router.resources():
        for route in resource:
            if route.method != "HEAD":
                found.append((route.method, resource.canonical))
    return sorted(found, key=lambda one: (one[1], one[0]))
