"""`POST /api/v1/statements`: the second way for a device to hand in a statement, with the same bytes as on MQTT.

200  ok, durable                      202  late, durable
409  finally refused, receipted       400, 404, 413, 429, 503  refused without a receipt: try again or give up
"""

import base64

from aiohttp import web

from coordinator.web import words
from coordinator.web.api import PREFIX
from coordinator.web.keys import LIMITS, SUBMIT
from coordinator.web.models import SUBMITTED
from coordinator.web.openapi import JSON, operation
from coordinator.web.ports import Submitted
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json
from device_client.core import verdicts

CONTENT_TYPE = "application/cbor"
DURABLE = {verdicts.OK: 200, verdicts.LATE: 202}
UNRECEIPTED = {
    verdicts.UNKNOWN_DEVICE: 404,
    verdicts.OVERSIZED: 413,
    verdicts.RATE_LIMITED: 429,
    verdicts.OVERLOADED: 503,
    verdicts.STORAGE_FAILED: 503,
}

# By status: what the intake may say of a statement, and what is wrong with the request before that.
STATEMENT_REFUSES = {
    400: ("malformed", "bad_signature"),
    404: ("unknown_device",),
    409: ("duplicate", "stale_beacon", "unknown_beacon", "quarantined", "fork", "bad_body", "unsupported_kind"),
    413: ("oversized",),
    415: ("unsupported_type", "unsupported_encoding"),
    429: ("rate_limited",),
    503: ("overloaded", "storage_failed"),
}


@operation(
    "Hand in a statement",
    answers={200: {JSON: SUBMITTED}, 202: {JSON: SUBMITTED}},
    body=(CONTENT_TYPE, {"type": "string", "contentMediaType": CONTENT_TYPE}),
    refuses=STATEMENT_REFUSES,
)
async def statements(request: web.Request) -> web.Response:
    """Take one message and answer with what became of it."""
    submitted = await request.app[SUBMIT](await message(request))
    if submitted.receipted and submitted.code in DURABLE:
        answer = shape(submitted) | {"code": submitted.code}
        return web.json_response(answer, status=DURABLE[submitted.code], headers={"Cache-Control": "no-store"})
    assert submitted.code not in DURABLE, "durable without a receipt"
    status = 409 if submitted.receipted else UNRECEIPTED.get(submitted.code, 400)
    retry = {"Retry-After": str(request.app[LIMITS].retry_after_s)} if status in (429, 503) else {}
    raise Problem(
        status,
        submitted.verdict,
        words.refusal(submitted.verdict) + ".",
        headers={"Cache-Control": "no-store", **retry},
        extra=shape(submitted) if submitted.receipted else None,
    )


async def message(request: web.Request) -> bytes:
    """The body of a request, checked for type and size before it is read. Raises Problem."""
    if request.content_type != CONTENT_TYPE:
        raise Problem(415, "unsupported_type", f"A statement is sent as {CONTENT_TYPE}.")
    if "Content-Encoding" in request.headers:
        raise Problem(415, "unsupported_encoding", "A statement is sent without content encoding.")
    bytes_max = request.app[LIMITS].message_bytes_max
    too_large = Problem(413, "oversized", f"A statement has at most {bytes_max} bytes.")
    if request.content_length is not None and request.content_length > bytes_max:
        raise too_large
    body = await request.read()
    if len(body) > bytes_max:
        raise too_large
    if not body:
        raise Problem(400, "malformed", "The body is empty.")
    return body


def shape(submitted: Submitted) -> Json:
    """What became of a receipted statement."""
    return {
        "statement": submitted.statement_id.hex(),
        "verdict": submitted.verdict,
        "slot": submitted.slot,
        "receipt": base64.b64encode(submitted.receipt).decode(),
    }


def add_routes(app: web.Application) -> None:
    app.router.add_post(PREFIX + "/statements", statements)
