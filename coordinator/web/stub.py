"""The pay stub of a device and epoch, the statements behind it and the postings that paid it: pages and API.

Each number on the stub leads down: to the statements of the epoch, to the payout's row and proof, to the ledger.
"""

import asyncio

from aiohttp import web

from coordinator.kernel.stub_views import StatementView, StubView
from coordinator.kernel.views import DeviceView
from coordinator.web import api, caching, cursors, filters, pages, query, shapes
from coordinator.web.api import PREFIX
from coordinator.web.device_page import earned, question
from coordinator.web.keys import READER
from coordinator.web.models import POSTING, STUB
from coordinator.web.openapi import (
    DEVICE_EPOCH_REFUSES,
    EPOCH,
    EPOCH_REFUSES,
    ID,
    INTEGER,
    PAGED,
    component,
    listed,
    number,
    operation,
    view,
)
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json
from coordinator.web.templating import render

STATEMENTS_SHOWN = 100
POSTINGS_SHOWN = 100

routes = web.RouteTableDef()


@routes.get(PREFIX + "/devices/{id}/stubs/{n}")
@operation("The pay stub of a device for an epoch", STUB, refuses=DEVICE_EPOCH_REFUSES)
async def stub_json(request: web.Request) -> web.Response:
    _, view = await known_stub(request)
    return web.json_response(stub_shape(view))


@routes.get("/devices/{id}/stubs/{n}")
async def stub_page(request: web.Request) -> web.Response:
    (device, view), network = await asyncio.gather(known_stub(request), request.app[READER].network())
    return render(
        request,
        "stub.html",
        **pages.frame(request, network),
        device=device,
        stub=view,
        explanation=view.explanation,
        question=question(view.explanation),
        earned=earned(view.payout),
        before=view.epoch - 1 if view.epoch > 0 else None,
        after=view.epoch + 1 if view.epoch < network.epoch else None,
    )


@routes.get(PREFIX + "/devices/{id}/statements")
@operation(
    "Statements of a device in an epoch",
    listed("statements", component("Statement", view(StatementView)), device=ID, epoch=INTEGER),
    query=(*PAGED, EPOCH, filters.VERDICT),
    refuses=DEVICE_EPOCH_REFUSES,
)
async def statements_json(request: web.Request) -> web.Response:
    epoch = query.number(request, "epoch")
    if epoch is None:
        raise Problem(400, "bad_query", "epoch must be given.", extra={"field": "epoch"})
    device = await api.known_device(request)
    await api.known_epoch(request, epoch)
    limit, place = query.limit(request), cursors.place(request, int, int) or (-1, -1)
    code = filters.verdict(request)
    found = await request.app[READER].statements(device.device, epoch, place, limit + 1, code)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.boot, row.seq))
    return web.json_response(answer.under("statements", device=device.device.hex(), epoch=epoch))


@routes.get("/devices/{id}/stubs/{n}/statements")
async def statements_page(request: web.Request) -> web.Response:
    epoch, device = query.path_number(request), await api.known_device(request)
    await api.known_epoch(request, epoch)
    found = await request.app[READER].statements(device.device, epoch, _after(request), STATEMENTS_SHOWN + 1)
    shown = found[:STATEMENTS_SHOWN]
    return render(
        request,
        "statements.html",
        **pages.frame(request, await request.app[READER].network()),
        device=device,
        epoch=epoch,
        statements=shown,
        first=not request.query.get("seq"),
        next=f"?boot={shown[-1].boot}&seq={shown[-1].seq}" if len(found) > STATEMENTS_SHOWN else "",
    )


@routes.get(PREFIX + "/accounts/{id}/postings")
@operation(
    "Postings of an account, newest epoch first",
    listed("postings", POSTING, account=ID),
    query=(*PAGED, number("epoch", "only of this one")),
    refuses={400: ("bad_id", "bad_query")},
)
async def postings_json(request: web.Request) -> web.Response:
    limit, epoch, account = query.limit(request), query.number(request, "epoch"), query.path_id(request)
    place = cursors.place(request, int, int)
    found = await request.app[READER].postings(account, epoch, place, limit + 1)
    answer = cursors.page(request, found, limit, lambda row: posting_shape(row[1]), lambda row: (row[1].epoch, row[0]))
    return web.json_response(answer.under("postings", account=account.hex()))


@routes.get(PREFIX + "/epochs/{n}/postings")
@operation(
    "Postings of an epoch in the order of their codes; those of one owner as they were made",
    listed("postings", POSTING, epoch=INTEGER),
    query=(*PAGED, filters.OWNER, filters.CODE),
    refuses=EPOCH_REFUSES,
)
async def epoch_postings_json(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int, int) or (-1, -1)
    epoch, owner, code = query.path_number(request), query.id_field(request, "owner"), filters.code(request)
    view = await api.known_epoch(request, epoch)
    found = await request.app[READER].epoch_postings(epoch, owner, code, place, limit + 1)
    answer = cursors.page(request, found, limit, lambda row: posting_shape(row[1]), lambda row: row[0])
    settled = caching.when_settled(view is not None and view.closed)
    return web.json_response(answer.under("postings", epoch=epoch), headers=settled)


@routes.get("/owners/{id}/ledger")
async def ledger_page(request: web.Request) -> web.Response:
    reader, account, epoch = request.app[READER], query.path_id(request), query.number(request, "epoch")
    before = _before(request)
    owner, found, network = await asyncio.gather(
        reader.owner(account),
        reader.postings(account, epoch, before, POSTINGS_SHOWN + 1),
        reader.network(),
    )
    if owner is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    shown = found[:POSTINGS_SHOWN]
    only = "" if epoch is None else f"epoch={epoch}&"
    more = len(found) > POSTINGS_SHOWN
    return render(
        request,
        "ledger.html",
        **pages.frame(request, network),
        owner=owner,
        epoch=epoch,
        postings=[each for _, each in shown],
        next=f"?{only}before={shown[-1][1].epoch}&place={shown[-1][0]}" if more else "",
    )


async def known_stub(request: web.Request) -> tuple[DeviceView, StubView]:
    """Raises Problem bad_id, unknown_device or unknown_epoch."""
    epoch, device = query.path_number(request), await api.known_device(request)
    view = await request.app[READER].pay_stub(device, epoch)
    if view is None:
        raise api.unknown_epoch(await request.app[READER].network())
    return device, view


def stub_shape(view: StubView) -> Json:
    """A stub as JSON; `links` lead to everything that its numbers rest on."""
    device, owner = view.device.hex(), view.owner.hex()
    here = f"{PREFIX}/devices/{device}"
    links = {
        "page": f"/devices/{device}/stubs/{view.epoch}",
        "statements": f"{here}/statements?epoch={view.epoch}",
        "postings": f"{PREFIX}/accounts/{owner}/postings?epoch={view.epoch}",
        "explain": f"{here}/explain?epoch={view.epoch}",
    }
    if view.batch >= 0:
        links |= {"batch": f"/batches/{view.batch}", "header": f"/archive/batches/{view.batch}/header.cose"}
    if view.payout is not None:
        links["proof"] = f"{here}/proof?epoch={view.epoch}"
    return shapes.plain(view) | {
        "payout": None if view.payout is None else shapes.plain(view.payout),
        "shares": [shapes.amounted(each) for each in view.shares],
        "changes": [shapes.amounted(each) for each in view.changes],
        "postings": [posting_shape(each) for each in view.postings],
        "lines": view.lines(),
        "explanation": shapes.explanation(view.explanation),
        "links": links,
    }


posting_shape = shapes.amounted


def _after(request: web.Request) -> tuple[int, int]:
    boot, seq = query.number(request, "boot"), query.number(request, "seq")
    return (boot if boot is not None else -1, seq if seq is not None else -1)


def _before(request: web.Request) -> tuple[int, int] | None:
    epoch, place = query.number(request, "before"), query.number(request, "place")
    return None if epoch is None else (epoch, place if place is not None else 0)
