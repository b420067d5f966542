"""`/archive/`: the published files as they lie on the disk, so that `edgetally verify` can be given an address.

    /archive/index.json               which batches and snapshots there are
    /archive/batches/<n>              the names of the files of a batch
    /archive/<name>                   a published file; ranges as in RFC 9110

Only names that the folder publishes lead to a file. A batch never changes, so whoever has it may keep it; readings may
be deleted, and the beacons grow. The log of headers is served under `/log/`.
"""

from aiohttp import web

from coordinator.engine.archive import INDEX_FILE, is_published
from coordinator.web.assets import FOR_EVER
from coordinator.web.keys import READER
from coordinator.web.limits import NUMBER_MAX
from coordinator.web.problems import Problem

routes = web.RouteTableDef()
NOTHING = "The archive has no such file."


@routes.get("/archive/" + INDEX_FILE)
async def index(request: web.Request) -> web.Response:
    return web.json_response((await request.app[READER].archive_index())._asdict())


@routes.get(r"/archive/batches/{number:(?:0|[1-9]\d{0,14})}")
async def batch(request: web.Request) -> web.Response:
    number = int(request.match_info["number"])
    names = await request.app[READER].archive_batch(number) if number <= NUMBER_MAX else []
    if not names:
        raise Problem(404, "unknown_batch", "The archive has no such batch.")
    return web.json_response({"files": names}, headers={"Cache-Control": FOR_EVER})


@routes.get("/archive/{name:.+}")
async def file(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    path = await request.app[READER].archive_file(name) if is_published(name) else None
    if path is None:
        raise Problem(404, "not_found", NOTHING)
    cached = FOR_EVER if name.startswith("batches/") else "no-cache"
    headers = {"Cache-Control": cached, "Content-Type": "application/octet-stream"}
    return web.FileResponse(path, headers=headers)
