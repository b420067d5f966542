"""How long answers may be kept, in one place: `Cache-Control` of RFC 9111.

FOR_EVER     what lies under its own name: files of a batch, full and partial tiles, static files with their digest
SETTLED      what no batch changes any more, in the shape that this version gives it: closed epochs, proofs of a size
ASK_AGAIN    everything else that everybody may see: kept, and asked for with its tag each time
NOT_AT_ALL   what a person sees who is signed in, what is refused, and what is handed in

What is `public` is the same for everybody, signed in or not.
"""

from aiohttp import web

from coordinator.web.assets import FOR_EVER

SETTLED = "public, max-age=3600"
ASK_AGAIN = "no-cache"
NOT_AT_ALL = "no-store"
__all__ = ["ASK_AGAIN", "FOR_EVER", "NOT_AT_ALL", "SETTLED", "default", "is_for_all", "when_settled"]


def when_settled(is_settled: bool) -> dict[str, str]:
    """Headers of an answer about something that may be over."""
    return {"Cache-Control": SETTLED} if is_settled else {}


def default(request: web.BaseRequest, response: web.StreamResponse) -> str:
    """Of an answer whose handler said nothing."""
    is_read = request.method in ("GET", "HEAD")
    return ASK_AGAIN if is_read and response.status < 400 else NOT_AT_ALL


def is_for_all(response: web.StreamResponse) -> bool:
    return response.headers.get("Cache-Control", "").startswith("public")
