"""`POST /api/v1/owner`: an owner hands in a signed message; `GET /api/v1/owner/{id}` tells what became of it.

202  durable, waits for the next batch       409  refused by a rule: sign another
400, 404, 413                                refused: not a message, or of nobody that is known here
429, 503                                     no room now: try again
"""

from aiohttp import web

from coordinator.kernel.views import AccountView
from coordinator.web import query, shapes, words
from coordinator.web.api import PREFIX
from coordinator.web.keys import LIMITS, OWNERS
from coordinator.web.models import MESSAGE
from coordinator.web.openapi import HASH, JSON, TEXT, operation, record, view
from coordinator.web.problems import Problem
from coordinator.web.submit import CONTENT_TYPE
from device_client.core import verdicts

UNAVAILABLE = {
    verdicts.UNKNOWN_ACCOUNT: 404,
    verdicts.OVERSIZED: 413,
    verdicts.RATE_LIMITED: 429,
    verdicts.OVERLOADED: 503,
    verdicts.STORAGE_FAILED: 503,
}
RULES = (verdicts.BAD_NONCE, verdicts.NOT_ALLOWED)
MESSAGE_REFUSES = {
    400: ("malformed", "bad_signature"),
    404: ("unknown_account",),
    409: tuple(map(verdicts.name, RULES)),
    413: ("oversized",),
    415: ("unsupported_type",),
    429: ("rate_limited",),
    503: ("overloaded", "storage_failed"),
}


@operation(
    "Hand in an owner message",
    answers={202: {JSON: record(message=HASH, state=TEXT)}},
    body=(CONTENT_TYPE, {"type": "string", "contentMediaType": CONTENT_TYPE}),
    refuses=MESSAGE_REFUSES,
)
async def post(request: web.Request) -> web.Response:
    if request.content_type != CONTENT_TYPE or "Content-Encoding" in request.headers:
        raise Problem(415, "unsupported_type", f"An owner message is sent as {CONTENT_TYPE}, without content encoding.")
    submitted = await request.app[OWNERS].submit(await request.read())
    code = submitted.code
    if code == verdicts.OK:
        answer = {"message": submitted.id.hex(), "state": "waiting"}
        return web.json_response(answer, status=202, headers={"Cache-Control": "no-store"})
    status = 409 if code in RULES else UNAVAILABLE.get(code, 400)
    retry = {"Retry-After": str(request.app[LIMITS].retry_after_s)} if status in (429, 503) else {}
    name = verdicts.name(code)
    raise Problem(status, name, words.refusal(name) + ".", headers={"Cache-Control": "no-store", **retry})


@operation(
    "What became of an owner message",
    MESSAGE,
    identifies=HASH,
    refuses={400: ("bad_id",), 404: ("unknown_message",)},
)
async def get(request: web.Request) -> web.Response:
    view = await request.app[OWNERS].message(query.path_hash(request))
    if view is None:
        raise Problem(404, "unknown_message", "No owner message with this id waits or was executed here.")
    answer = shapes.plain(view)
    answer = {"message": answer.pop("id"), **answer}
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


@operation("Balance and next nonce of an account", view(AccountView), refuses={400: ("bad_id",)})
async def account(request: web.Request) -> web.Response:
    """What a wallet needs: balance and the next nonce, counting what waits."""
    view = await request.app[OWNERS].account(query.path_id(request))
    answer = shapes.plain(view)
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


def add_routes(app: web.Application) -> None:
    app.router.add_post(PREFIX + "/owner", post)
    app.router.add_get(PREFIX + "/owner/{id}", get)
    app.router.add_get(PREFIX + "/accounts/{id}", account)
