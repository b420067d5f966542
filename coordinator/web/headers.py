"""Headers that every answer carries, whoever made it."""

from aiohttp import web

from coordinator.web import caching, problems

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: under that browsers say `Origin: null` also when they send a form to the page's own server.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "edgetally",
}


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Signal of aiohttp: an answer is about to leave."""
    if isinstance(response, web.HTTPException) and response.status >= 400:
        # Raised before any middleware runs (an unknown Expect header): the same shape as everything else.
        problem = problems.from_http(response)
        response.body = problems.document(problem, request)
        response.headers["Content-Length"] = str(len(response.body))  # which was counted before
        response.content_type = "application/problem+json"
        response.charset = None
    response.headers.update(SECURITY)
    response.headers.setdefault("Cache-Control", caching.default(request, response))
