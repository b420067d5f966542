"""`/api/v1/openapi.json`: the description of the API, and `/api`: the same as a page for people."""

import json

from aiohttp import web

from coordinator.web import openapi, pages
from coordinator.web.api import PREFIX
from coordinator.web.keys import READER
from coordinator.web.openapi import Schema, operation
from coordinator.web.templating import render

routes = web.RouteTableDef()
_MADE: web.AppKey[list[Schema]] = web.AppKey("openapi", list)


@routes.get(PREFIX + "/openapi.json")
@operation("This description", {"type": "object", "required": ["openapi", "info", "paths"]})
async def openapi_json(request: web.Request) -> web.Response:
    return web.json_response(_document(request.app))


@routes.get("/api")
async def page(request: web.Request) -> web.Response:
    made = _document(request.app)
    network = await request.app[READER].network()
    shown = [
        (method.upper(), path, one, schemas_of(one))
        for path, methods in made["paths"].items()
        for method, one in methods.items()
    ]
    schemas = {name: json.dumps(one, indent=1) for name, one in made["components"]["schemas"].items()}
    return render(request, "api.html", **pages.frame(request, network), operations=shown, schemas=schemas)


def schemas_of(one: Schema) -> list[tuple[str, str, str]]:
    """(status, media type, schema as text, or the name of one that has a name) of the answers that are no problem."""
    found = []
    for status, answer in one["responses"].items():
        for media, of in answer.get("content", {}).items():
            if media != openapi.PROBLEM:
                name = of["schema"].get("$ref", "").rpartition("/")[2]
                found.append((status, media, name or json.dumps(of["schema"], indent=1)))
    return found


def add(app: web.Application) -> None:
    """The last to be added: it is made once, from the routes that are there then."""
    app.add_routes(routes)
    app[_MADE] = []


def _document(app: web.Application) -> Schema:
    made = app[_MADE]
    if not made:
        made.append(openapi.document(app))
    return made[0]
