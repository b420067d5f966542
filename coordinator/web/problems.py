"""The one shape of a refusal: RFC 9457 problem documents, and the same words as a page for browsers.

Problem                 a rule of the web said no: status, stable code, plain detail
web.HTTPException       aiohttp said no (route, method, size): given the same shape
anything else           a fault of ours: logged, counted, answered as `fault` without a word of the inside
"""

import json
from collections import Counter
from typing import Any

from aiohttp import web

TITLES = {
    "bad_csrf": "Form is not ours",
    "bad_field": "Not a valid form",
    "bad_id": "Not an id",
    "bad_length": "Length is not known",
    "bad_query": "Not a valid query",
    "bad_request": "Not a valid request",
    "bad_token": "API token does not count",
    "expectation": "Expectation is not supported",
    "fault": "Fault on our side",
    "login_failed": "Not signed in",
    "login_required": "Sign in first",
    "method_not_allowed": "Method is not allowed here",
    "no_readings": "No readings there",
    "not_allowed": "Not for you",
    "not_deletable": "Cannot be deleted",
    "not_found": "Nothing is here",
    "not_provable": "Nothing to prove yet",
    "overloaded": "Too busy",
    "oversized": "Too large",
    "passkey_refused": "Passkey was not taken",
    "rate_limited": "Too many requests",
    "readings_private": "Readings are private",
    "timeout": "Took too long",
    "too_large_for_qr": "Too much for a QR code",
    "too_many": "Too many of these",
    "too_many_attempts": "Too many attempts",
    "unknown_account": "Account is not known",
    "unknown_batch": "Log has no such size",
    "unknown_cell": "Cell is not shown",
    "unknown_device": "Device is not known",
    "unknown_epoch": "Epoch is not known",
    "unknown_message": "Message is not known",
    "unknown_text": "No appeal names this text",
    "unsupported_encoding": "Content encoding is not supported",
    "unsupported_type": "Content type is not supported",
    "wrong_host": "Not this server's name",
    "wrong_origin": "Sent from elsewhere",
}
HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 408: "timeout", 413: "oversized", 417: "expectation"}
HTTP_DETAILS = {
    404: "No page and no API route has this path.",
    413: "The body is larger than this route takes.",
    417: "The only expectation that is known is 100-continue.",
}
PATH_CHARS_MAX = 200

REFUSED: web.AppKey[Counter[str]] = web.AppKey("refused", Counter)


class Problem(Exception):
    """A refusal with its status and stable code; `extra` are further members of the document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra or {}

    @property
    def title(self) -> str:
        return TITLES.get(self.code, "Statement is refused")


def from_http(error: web.HTTPException) -> Problem:
    """What aiohttp refuses on its own, in our shape."""
    headers = {name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers}
    detail = HTTP_DETAILS.get(error.status, "The request is not one that this server understands.")
    if error.status == 405:
        detail = f"This path answers to {headers.get('Allow', 'other methods')} only."
    return Problem(error.status, HTTP_CODES.get(error.status, "bad_request"), detail, headers=headers)


def document(problem: Problem, request: web.BaseRequest) -> bytes:
    """The problem as JSON bytes."""
    members = {
        **problem.extra,
        "type": f"urn:edgetally:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "instance": request.rel_url.raw_path[:PATH_CHARS_MAX],
    }
    return json.dumps(members).encode()


def as_json(problem: Problem, request: web.BaseRequest) -> web.Response:
    return web.Response(
        status=problem.status,
        body=document(problem, request),
        content_type="application/problem+json",
        headers=problem.headers,
    )


def wants_page(request: web.BaseRequest) -> bool:
    """Whether a person is asking: a browser, outside the API."""
    api = request.path == "/api" or request.path.startswith("/api/")
    return not api and "text/html" in request.headers.get("Accept", "")
