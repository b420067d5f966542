"""Static files from memory: known names only, with a strong ETag."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from coordinator.web.problems import Problem

FOLDER = Path(__file__).parent / "static"
FOR_EVER = "public, max-age=31536000, immutable"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Asset(NamedTuple):
    body: bytes
    content_type: str
    digest: str


def load() -> dict[str, Asset]:
    """Every static file by its name."""
    found = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in TYPES:
            body = path.read_bytes()
            found[path.name] = Asset(body, TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
    return found


ASSETS = load()


def url(name: str) -> str:
    """Address of a file, new with every change of it: so it may be kept for ever."""
    return f"/static/{name}?v={ASSETS[name].digest}"


async def static(request: web.Request) -> web.Response:
    asset = ASSETS.get(request.match_info["name"])
    if asset is None:
        raise Problem(404, "not_found", "There is no such file.")
    etag = f'"{asset.digest}"'
    current = request.query.get("v") == asset.digest
    headers = {
        "ETag": etag,
        "Cache-Control": FOR_EVER if current else "public, no-cache",
    }
    if is_known(request, etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)


def is_known(request: web.Request, etag: str) -> bool:
    """Whether who asks holds this very content."""
    known = [each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")]
    return etag in known or "*" in known
