"""What every answer with a body gets on its way out: a tag by which it is asked for again, a smaller body where the
client takes one, and the next page in a header.

The tag is the hash of the body: weak, for the body may leave compressed or not. What is streamed has none.
"""

import hashlib
import json

from aiohttp import web
from aiohttp.typedefs import Handler

from coordinator.web.assets import is_known

COMPRESSED_MIN_BYTES = 1024
COMPRESSIBLE = ("application/json", "application/problem+json", "text/")
SAFE_METHODS = ("GET", "HEAD")
API = "/api/"
KEPT = ("ETag", "Link", "Cache-Control")  # of an answer that says only that nothing has changed


@web.middleware
async def finish(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if request.method not in SAFE_METHODS or not isinstance(response, web.Response) or response.prepared:
        return response
    body = response.body
    if not isinstance(body, bytes) or response.status != 200:
        return response
    if request.path.startswith(API):
        _link(response, body)
        if "ETag" not in response.headers and response.headers.get("Cache-Control") != "no-store":
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            response.headers["ETag"] = f"W/{tag}"
            if is_known(request, tag):
                kept = {
                    name: response.headers[name]
                    for name in ("ETag", "Link", "Cache-Control")
                    if name in response.headers
                }
                return web.Response(status=304, headers=kept)
    if len(body) > COMPRESSED_MIN_BYTES and response.content_type.startswith(COMPRESSIBLE):
        response.enable_compression()
        response.headers.add("Vary", "Accept-Encoding")
    return response


def _link(response: web.Response, body: bytes) -> None:
    """`next` of a page of rows as a header too (RFC 8288)."""
    if response.content_type != "application/json" or b'"next": "' not in body[-NEXT_BYTES:]:
        return
    following = json.loads(body).get("next")
    if isinstance(following, str):
        response.headers["Link"] = f'<{following}>; rel="next"'


NEXT_BYTES = 300  # it is the last member of a page
