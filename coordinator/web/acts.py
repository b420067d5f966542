"""What the operator did and what owners say to it, for everybody: quarantines, appeals, corrections, settlements.

`POST /api/v1/texts` takes the words of an appeal whose SHA-256 is in a message; they are shown to the operator and to
the owner who wrote them.
"""

import hashlib
import json

from aiohttp import web

from coordinator.kernel.operator_views import AppealView, CorrectionView, QuarantineView, SettlementView
from coordinator.web import cursors, query, shapes
from coordinator.web.api import PREFIX, known_device, known_epoch
from coordinator.web.keys import OWNERS, READER, TEXTS
from coordinator.web.models import APPEAL, CORRECTION, QUARANTINE
from coordinator.web.openapi import (
    DEVICE_EPOCH_REFUSES,
    DEVICE_REFUSES,
    EPOCH,
    HASH,
    ID,
    INTEGER,
    JSON,
    OWNER_REFUSES,
    PAGED,
    QUERY_REFUSES,
    component,
    listed,
    operation,
    record,
    rows,
    view,
)
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json

TEXT_CHARS_MAX = 2000
JSON_TYPE = "application/json"

routes = web.RouteTableDef()


@routes.get(PREFIX + "/quarantines")
@operation(
    "Quarantines in force in the order of their devices",
    listed("quarantines", QUARANTINE),
    query=PAGED,
    refuses=QUERY_REFUSES,
)
async def quarantines(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, bytes)
    found = await request.app[READER].quarantines_open(place[0] if place else b"", limit + 1)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.device,))
    return web.json_response(answer.under("quarantines"))


@routes.get(PREFIX + "/appeals")
@operation(
    "Appeals without an answer in the order of their devices",
    listed("appeals", APPEAL),
    query=PAGED,
    refuses=QUERY_REFUSES,
)
async def appeals(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, bytes)
    found = await request.app[READER].appeals_open(place[0] if place else b"", limit + 1)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.device,))
    return web.json_response(answer.under("appeals"))


@routes.get(PREFIX + "/devices/{id}/quarantines")
@operation(
    "Quarantines and appeals of a device, newest first",
    record(device=ID, quarantines=rows(QUARANTINE), appeals=rows(APPEAL)),
    refuses=DEVICE_REFUSES,
)
async def device_quarantines(request: web.Request) -> web.Response:
    """All that a device had, and what its owners said."""
    view, reader = await known_device(request), request.app[READER]
    held: list[QuarantineView] = await reader.quarantines(view.device)
    said: list[AppealView] = await reader.appeals(view.device)
    answer: Json = {"device": view.device.hex(), "quarantines": [shapes.plain(one) for one in held]}
    return web.json_response(answer | {"appeals": [shapes.plain(one) for one in said]})


@routes.get(PREFIX + "/devices/{id}/corrections")
@operation(
    "Corrections of a device's pay for an epoch",
    record(device=ID, epoch=INTEGER, corrections=rows(CORRECTION)),
    query=(EPOCH,),
    refuses=DEVICE_EPOCH_REFUSES,
)
async def device_corrections(request: web.Request) -> web.Response:
    epoch = query.number(request, "epoch")
    if epoch is None:
        raise Problem(400, "bad_query", "epoch must be given.", extra={"field": "epoch"})
    view = await known_device(request)
    await known_epoch(request, epoch)
    found: list[CorrectionView] = await request.app[READER].corrections(view.device, epoch)
    rows = [shapes.amounted(one) for one in found]
    return web.json_response({"device": view.device.hex(), "epoch": epoch, "corrections": rows})


@routes.get(PREFIX + "/owners/{id}/corrections")
@operation(
    "Corrections to an owner, newest first",
    listed("corrections", CORRECTION, account=ID),
    query=PAGED,
    refuses=OWNER_REFUSES,
)
async def owner_corrections(request: web.Request) -> web.Response:
    account, before, limit = await _account(request)
    found = await request.app[READER].corrections_of(account, before, limit + 1)
    answer = cursors.page(request, found, limit, shapes.amounted, lambda row: (row.number,))
    return web.json_response(answer.under("corrections", account=account.hex()))


@routes.get(PREFIX + "/owners/{id}/settlements")
@operation(
    "What was paid to an owner outside of the network, newest first",
    listed("settlements", component("Settlement", view(SettlementView, "amount")), account=ID),
    query=PAGED,
    refuses=OWNER_REFUSES,
)
async def owner_settlements(request: web.Request) -> web.Response:
    account, before, limit = await _account(request)
    found: list[SettlementView] = await request.app[READER].settlements(account, before, limit + 1)
    answer = cursors.page(request, found, limit, shapes.amounted, lambda row: (row.number,))
    return web.json_response(answer.under("settlements", account=account.hex()))


async def _account(request: web.Request) -> tuple[bytes, int | None, int]:
    """(account, before, limit). Raises Problem unknown_account."""
    limit, place, account = query.limit(request), cursors.place(request, int), query.path_id(request)
    if await request.app[READER].owner(account) is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    return account, place[0] if place else None, limit


@operation(
    "Hand in the words of an appeal",
    answers={201: {JSON: record(text=HASH)}},
    body=(JSON, record(text={"type": "string", "minLength": 1, "maxLength": TEXT_CHARS_MAX})),
    refuses={400: ("bad_field",), 404: ("unknown_text",), 415: ("unsupported_type",)},
)
async def keep_text(request: web.Request) -> web.Response:
    """Take the words of an appeal: `{"text": ...}`. Again it changes nothing."""
    if request.content_type != JSON_TYPE or "Content-Encoding" in request.headers:
        raise Problem(415, "unsupported_type", f"A text is sent as {JSON_TYPE}, without content encoding.")
    try:
        found = json.loads(await request.read())
        text = found["text"] if isinstance(found, dict) and set(found) == {"text"} else None
        data = text.encode() if isinstance(text, str) else b""
    except (ValueError, RecursionError):  # not JSON, or half of a character
        text, data = None, b""
    if text is None or not 1 <= len(text) <= TEXT_CHARS_MAX:
        detail = f"The body must be an object whose text has 1 to {TEXT_CHARS_MAX} characters."
        raise Problem(400, "bad_field", detail, extra={"field": "text"})
    account = await request.app[OWNERS].appellant(hashlib.sha256(data).digest())
    if not account:
        raise Problem(404, "unknown_text", "No appeal that waits or is open names a text with this SHA-256.")
    kept = await request.app[TEXTS].put(text, account)
    return web.json_response({"text": kept.hex()}, status=201, headers={"Cache-Control": "no-store"})


def add_texts(app: web.Application) -> None:
    app.router.add_post(PREFIX + "/texts", keep_text)
