"""`/api/v1`: everything the pages show, as JSON.

Lists are paged by a cursor: follow `next` until it is null. Every refusal is a problem document (problems.py).
"""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from coordinator.kernel.views import DeviceView, EpochView, NetworkView, OwnerEpochView, OwnerView, PresenceView
from coordinator.web import openapi, query, readings, shapes
from coordinator.web.keys import BROKER, READER
from coordinator.web.models import CHANNEL, DEVICE, EPOCH_ROW, EXPLANATION, NETWORK, OWNER, PAYOUT, PROOF, READING
from coordinator.web.openapi import (
    AFTER_ID,
    BEFORE,
    DEVICE_EPOCH_REFUSES,
    DEVICE_REFUSES,
    EPOCH,
    EPOCH_REFUSES,
    INTEGER,
    LIMIT,
    OWNER_REFUSES,
    QUERY_REFUSES,
    component,
    listed,
    number,
    operation,
    record,
    rows,
    view,
)
from coordinator.web.problems import REFUSED, Problem
from coordinator.web.shapes import Json, Page

routes = web.RouteTableDef()
PREFIX = "/api/v1"


@routes.get(PREFIX + "/network")
@operation("The network now", NETWORK)
async def network(request: web.Request) -> web.Response:
    view = await request.app[READER].network()
    refused = request.app[REFUSED]
    more = {"broker": request.app[BROKER]._asdict(), "http_refusals": dict(refused)}
    return web.json_response(shapes.plain(view) | more)


@routes.get(PREFIX + "/devices")
@operation(
    "Devices in the order of their ids", listed("devices", DEVICE), query=(LIMIT, AFTER_ID), refuses=QUERY_REFUSES
)
async def devices(request: web.Request) -> web.Response:
    limit = query.limit(request)
    found = await request.app[READER].devices(query.after_id(request), limit + 1)
    rows = [shapes.device(each) for each in found]
    return web.json_response(page(request, rows, limit, "after", "device").under("devices"))


@routes.get(PREFIX + "/devices/{id}")
@operation("A device", DEVICE, refuses=DEVICE_REFUSES)
async def device(request: web.Request) -> web.Response:
    return web.json_response(shapes.device(await known_device(request)))


@routes.get(PREFIX + "/devices/{id}/readings")
@operation(
    "Reading sets of a device whose readings are public, oldest first",
    listed("readings", READING, device=openapi.ID, channels=rows(CHANNEL)),
    query=(LIMIT, number("after", "sets of later slots: a cursor, take it from `next`")),
    refuses={**DEVICE_REFUSES, 403: ("readings_private",)},
)
async def device_readings(request: web.Request) -> web.Response:
    limit, after = query.limit(request), query.number(request, "after")
    view = await known_device(request)
    found, more = await readings.whole_slots(request.app[READER], view.device, -1 if after is None else after, limit)
    if not view.readings_public and not found and after is None:  # what was public once stays so
        raise Problem(403, "readings_private", "This device's readings are private.")
    exponents = [exponent for _, _, exponent in view.channels]
    rows = [shapes.reading(each, exponents) for each in found]
    following = link(request, after=found[-1].slot, limit=limit) if more else None
    answer = Page(rows, following).under("readings", device=view.device.hex(), channels=shapes.channels(view))
    return web.json_response(answer)


@routes.get(PREFIX + "/devices/{id}/explain")
@operation(
    "Why a device earned what it earned",
    EXPLANATION,
    query=(number("epoch", "the newest closed one if it is not given"),),
    refuses=DEVICE_EPOCH_REFUSES,
)
async def device_explain(request: web.Request) -> web.Response:
    epoch = query.number(request, "epoch")
    view = await known_device(request)
    if epoch is not None:
        await known_epoch(request, epoch)
    explanation = await request.app[READER].explain(view.device, epoch)
    if explanation is None:
        raise Problem(404, "unknown_device", "No device with this id is enrolled here.")
    return web.json_response(shapes.explanation(explanation))


@routes.get(PREFIX + "/devices/{id}/payouts")
@operation(
    "Payouts of a device, newest epoch first",
    record(device=openapi.ID, payouts=rows(PAYOUT)),
    query=(LIMIT,),
    refuses=DEVICE_REFUSES,
)
async def device_payouts(request: web.Request) -> web.Response:
    limit = query.limit(request)
    view = await known_device(request)
    found = await request.app[READER].device_payouts(view.device, limit)
    return web.json_response({"device": view.device.hex(), "payouts": [shapes.plain(each) for each in found]})


@routes.get(PREFIX + "/devices/{id}/proof")
@operation(
    "That a payout stands in a batch, and the batch in the log",
    PROOF,
    query=(EPOCH, number("size", "of the log, the newest checkpoint's if it is not given", 1)),
    refuses={**DEVICE_REFUSES, 404: ("unknown_device", "unknown_epoch", "not_provable")},
)
async def device_proof(request: web.Request) -> web.Response:
    epoch, size = query.number(request, "epoch"), query.number(request, "size", 1)
    if epoch is None:
        raise Problem(400, "bad_query", "epoch must be given.", extra={"field": "epoch"})
    view = await known_device(request)
    found = await known_epoch(request, epoch)
    if found is None or not found.closed:
        raise Problem(404, "not_provable", "This epoch is not closed yet.")
    proof = await request.app[READER].payout_proof(view.device, epoch, size)
    if proof is None:
        raise Problem(404, "not_provable", "The log of this size holds no payout of this device in this epoch.")
    return web.json_response(shapes.proof(proof))


@routes.get(PREFIX + "/devices/{id}/presence")
@operation(
    "Windows in which a device was up, newest epoch first",
    record(device=openapi.ID, presence=rows(view(PresenceView))),
    query=(LIMIT,),
    refuses=DEVICE_REFUSES,
)
async def device_presence(request: web.Request) -> web.Response:
    limit = query.limit(request)
    view = await known_device(request)
    found = await request.app[READER].device_presence(view.device, limit)
    return web.json_response({"device": view.device.hex(), "presence": [shapes.plain(each) for each in found]})


@routes.get(PREFIX + "/owners")
@operation(
    "Owners, highest paid first",
    record(owners=rows(component("OwnerRow", view(OwnerView, devices=INTEGER)))),
    query=(LIMIT,),
    refuses=QUERY_REFUSES,
)
async def owners(request: web.Request) -> web.Response:
    found = await request.app[READER].owners(query.limit(request))
    rows = [shapes.plain(each) | {"devices": len(each.devices)} for each in found]
    return web.json_response({"owners": rows})


@routes.get(PREFIX + "/owners/{id}")
@operation("An owner with the first devices", OWNER, refuses=OWNER_REFUSES)
async def owner(request: web.Request) -> web.Response:
    view = await request.app[READER].owner(query.path_id(request))
    if view is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    return web.json_response(shapes.owner(view))


@routes.get(PREFIX + "/owners/{id}/rewards")
@operation(
    "What an owner earned, newest epoch first",
    listed("rewards", component("OwnerEpoch", view(OwnerEpochView)), account=openapi.ID),
    query=(LIMIT, BEFORE),
    refuses=OWNER_REFUSES,
)
async def owner_rewards(request: web.Request) -> web.Response:
    limit, before = query.limit(request), query.number(request, "before")
    account = query.path_id(request)
    reader = request.app[READER]
    if await reader.owner(account) is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    rows = [shapes.plain(each) for each in await reader.owner_epochs(account, before, limit + 1)]
    return web.json_response(page(request, rows, limit, "before", "epoch").under("rewards", account=account.hex()))


@routes.get(PREFIX + "/epochs")
@operation("Epochs, newest first", listed("epochs", EPOCH_ROW), query=(LIMIT, BEFORE), refuses=QUERY_REFUSES)
async def epochs(request: web.Request) -> web.Response:
    limit, before = query.limit(request), query.number(request, "before")
    rows = [shapes.plain(each) for each in await request.app[READER].epochs(before, limit + 1)]
    return web.json_response(page(request, rows, limit, "before", "number").under("epochs"))


@routes.get(PREFIX + "/epochs/{n}")
@operation("An epoch", EPOCH_ROW, refuses=EPOCH_REFUSES)
async def epoch(request: web.Request) -> web.Response:
    view = await request.app[READER].epoch(query.path_number(request))
    if view is None:
        raise unknown_epoch(await request.app[READER].network())
    return web.json_response(shapes.plain(view))


@routes.get(PREFIX + "/epochs/{n}/payouts")
@operation(
    "Payouts of an epoch in the order of device ids",
    listed("payouts", PAYOUT, epoch=INTEGER, closed=openapi.FLAG),
    query=(LIMIT, AFTER_ID),
    refuses=EPOCH_REFUSES,
)
async def epoch_payouts(request: web.Request) -> web.Response:
    limit, after = query.limit(request), query.after_id(request)
    number = query.path_number(request)
    view = await known_epoch(request, number)
    rows = [shapes.plain(each) for each in await request.app[READER].payouts(number, after, limit + 1)]
    closed = view is not None and view.closed
    answer = page(request, rows, limit, "after", "device").under("payouts", epoch=number, closed=closed)
    return web.json_response(answer)


async def known_device(request: web.Request) -> DeviceView:
    """The device in the path. Raises Problem bad_id or unknown_device."""
    view = await request.app[READER].device(query.path_id(request))
    if view is None:
        raise Problem(404, "unknown_device", "No device with this id is enrolled here.")
    return view


async def known_epoch(request: web.Request, number: int) -> EpochView | None:
    """The epoch, None for a running one that has no row yet. Raises Problem unknown_epoch."""
    view = await request.app[READER].epoch(number)
    if view is None:
        state = await request.app[READER].network()
        if number != state.epoch:
            raise unknown_epoch(state)
    return view


def unknown_epoch(state: NetworkView) -> Problem:
    return Problem(404, "unknown_epoch", f"There is no such epoch yet; the running one is {state.epoch}.")


def page(request: web.Request, rows: list[Json], limit: int, cursor: str, key: str) -> Page:
    """The first `limit` of rows that were asked for with one more, and the address behind them."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(shown, link(request, **{cursor: shown[-1][key], "limit": limit}) if more else None)


def link(request: web.Request, **fields: Any) -> str:
    """This path with other query fields."""
    return f"{request.rel_url.raw_path}?{urlencode(fields)}"
