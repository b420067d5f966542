"""`/log/`: the log of headers as files with the names and types of C2SP tlog-tiles, and proofs from it as JSON."""

import hashlib

from aiohttp import web

from coordinator.engine.log import parse_path
from coordinator.kernel.views import ConsistencyView, InclusionView
from coordinator.web import caching, query, shapes
from coordinator.web.assets import FOR_EVER, is_known
from coordinator.web.keys import READER
from coordinator.web.openapi import number, operation, view
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json

routes = web.RouteTableDef()
PROOFS = "/api/v1/log"
LOG_REFUSES = {400: ("bad_query",), 404: ("unknown_batch",)}


@routes.get("/log/{name:.+}")
async def file(request: web.Request) -> web.Response:
    """The checkpoint, or a tile: no other name leads to a file."""
    name = request.match_info["name"]
    if name == "checkpoint":
        body = await request.app[READER].log_checkpoint()
        content_type, cached = "text/plain; charset=utf-8", "no-cache"
    else:
        tile = parse_path(name)
        body = await request.app[READER].log_tile(tile) if tile else None
        content_type, cached = "application/octet-stream", FOR_EVER
    if body is None:
        raise Problem(404, "not_found", "The log has no such file.")
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": cached}
    if is_known(request, etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={**headers, "Content-Type": content_type})


@routes.get(PROOFS + "/inclusion")
@operation(
    "That a batch is in the log",
    view(InclusionView),
    query=(number("batch", "below `size`", required=True), number("size", "of the log", 1, required=True)),
    refuses=LOG_REFUSES,
)
async def inclusion(request: web.Request) -> web.Response:
    batch, size = await sizes(request, "batch", "size")
    if batch >= size:
        raise Problem(400, "bad_query", "batch must be below size.", extra={"field": "batch"})
    found = await request.app[READER].log_inclusion(batch, size)
    return web.json_response(proof(found), headers=caching.when_settled(True))


@routes.get(PROOFS + "/consistency")
@operation(
    "That a log begins with a smaller one",
    view(ConsistencyView),
    query=(
        number("first", "the smaller size", 1, required=True),
        number("second", "the larger size", 1, required=True),
    ),
    refuses=LOG_REFUSES,
)
async def consistency(request: web.Request) -> web.Response:
    first, second = await sizes(request, "first", "second", low=1)
    if first > second:
        raise Problem(400, "bad_query", "first must not be above second.", extra={"field": "first"})
    found = await request.app[READER].log_consistency(first, second)
    return web.json_response(proof(found), headers=caching.when_settled(True))


async def sizes(request: web.Request, small: str, large: str, low: int = 0) -> tuple[int, int]:
    """Two whole numbers, the second no larger than the log. Raises Problem bad_query or unknown_batch."""
    one, other = query.number(request, small, low), query.number(request, large, 1)
    for name, value in ((small, one), (large, other)):
        if value is None:
            raise Problem(400, "bad_query", f"{name} must be given.", extra={"field": name})
    assert one is not None and other is not None
    known = max(0, await request.app[READER].log_size())
    if other > known:
        raise Problem(404, "unknown_batch", f"The log has {known} batches so far.")
    return one, other


def proof(view: InclusionView | ConsistencyView) -> Json:
    return shapes.plain(view) | {"proof": [one.hex() for one in view.proof]}
