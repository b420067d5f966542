"""`/api/v1`: everything the pages show, as JSON.

Lists are paged by a cursor: follow `next` until it is null. Every refusal is a problem document (problems.py).
"""

from aiohttp import web

from coordinator.kernel.filters import DevicePlace
from coordinator.kernel.views import DeviceView, EpochView, NetworkView, OwnerEpochView, OwnerView, PresenceView
from coordinator.web import caching, cursors, filters, openapi, query, readings, shapes
from coordinator.web.keys import BROKER, READER
from coordinator.web.limits import NUMBER_MAX
from coordinator.web.models import CHANNEL, DEVICE, EPOCH_ROW, EXPLANATION, NETWORK, OWNER, PAYOUT, PROOF, READING
from coordinator.web.openapi import (
    DEVICE_EPOCH_REFUSES,
    DEVICE_REFUSES,
    EPOCH,
    EPOCH_REFUSES,
    INTEGER,
    OWNER_REFUSES,
    PAGED,
    QUERY_REFUSES,
    component,
    listed,
    number,
    operation,
    rows,
    view,
)
from coordinator.web.problems import REFUSED, Problem
from coordinator.web.shapes import Page

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
    "Devices in the order of their ids; by standing in that of their enrolment, silent ones the longest silent first",
    listed("devices", DEVICE),
    query=(*PAGED, *filters.DEVICES),
    refuses=QUERY_REFUSES,
)
async def devices(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int, bytes)
    after = DevicePlace(*place) if place else None
    found = await request.app[READER].devices_where(filters.devices(request), after, limit)
    following = cursors.address(request, limit, *found.next) if found.next else None
    return web.json_response(Page([shapes.device(one) for one in found.devices], following).under("devices"))


@routes.get(PREFIX + "/devices/{id}")
@operation("A device", DEVICE, refuses=DEVICE_REFUSES)
async def device(request: web.Request) -> web.Response:
    return web.json_response(shapes.device(await known_device(request)))


@routes.get(PREFIX + "/devices/{id}/readings")
@operation(
    "Reading sets of a device whose readings are public, oldest first",
    listed("readings", READING, device=openapi.ID, channels=rows(CHANNEL)),
    query=PAGED,
    refuses={**DEVICE_REFUSES, 403: ("readings_private",)},
)
async def device_readings(request: web.Request) -> web.Response:
    limit, after = query.limit(request), cursors.place(request, int)
    view = await known_device(request)
    found, more = await readings.whole_slots(request.app[READER], view.device, after[0] if after else -1, limit)
    if not view.readings_public and not found and after is None:  # what was public once stays so
        raise Problem(403, "readings_private", "This device's readings are private.")
    exponents = [exponent for _, _, exponent in view.channels]
    rows = [shapes.reading(each, exponents) for each in found]
    following = cursors.address(request, limit, found[-1].slot) if more else None
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
    explanation = await request.app[READER].explain(view, epoch)
    return web.json_response(shapes.explanation(explanation))


@routes.get(PREFIX + "/devices/{id}/payouts")
@operation(
    "Payouts of a device, newest epoch first",
    listed("payouts", PAYOUT, device=openapi.ID),
    query=PAGED,
    refuses=DEVICE_REFUSES,
)
async def device_payouts(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int)
    view = await known_device(request)
    found = await request.app[READER].device_payouts(view.device, limit + 1, place[0] if place else NUMBER_MAX)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.epoch,))
    return web.json_response(answer.under("payouts", device=view.device.hex()))


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
    return web.json_response(shapes.proof(proof), headers=caching.when_settled(size is not None))


@routes.get(PREFIX + "/devices/{id}/presence")
@operation(
    "Windows in which a device was up, newest epoch first",
    listed("presence", component("Presence", view(PresenceView)), device=openapi.ID),
    query=PAGED,
    refuses=DEVICE_REFUSES,
)
async def device_presence(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int)
    view = await known_device(request)
    found = await request.app[READER].device_presence(view.device, limit + 1, place[0] if place else NUMBER_MAX)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.epoch,))
    return web.json_response(answer.under("presence", device=view.device.hex()))


@routes.get(PREFIX + "/owners")
@operation(
    "Owners, highest paid first",
    listed("owners", component("OwnerRow", view(OwnerView, devices=INTEGER))),
    query=PAGED,
    refuses=QUERY_REFUSES,
)
async def owners(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int, bytes)
    found = await request.app[READER].owners(limit + 1, place)
    answer = cursors.page(request, found, limit, shapes.owner_row, lambda row: (row.paid, row.account))
    return web.json_response(answer.under("owners"))


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
    query=PAGED,
    refuses=OWNER_REFUSES,
)
async def owner_rewards(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int)
    account = query.path_id(request)
    reader = request.app[READER]
    if await reader.owner(account) is None:
        raise Problem(404, "unknown_account", "No owner has this account.")
    found = await reader.owner_epochs(account, place[0] if place else None, limit + 1)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.epoch,))
    return web.json_response(answer.under("rewards", account=account.hex()))


@routes.get(PREFIX + "/epochs")
@operation(
    "Epochs, newest first",
    listed("epochs", EPOCH_ROW),
    query=(*PAGED, filters.FROM, filters.TO),
    refuses=QUERY_REFUSES,
)
async def epochs(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, int)
    first, last = filters.epochs(request)
    before = place[0] if place else None if last is None else min(last, NUMBER_MAX - 1) + 1
    found = await request.app[READER].epochs(before, limit + 1)
    wanted = [one for one in found if first is None or one.number >= first]
    answer = cursors.page(request, wanted, limit, shapes.plain, lambda row: (row.number,))
    return web.json_response(answer.under("epochs"))


@routes.get(PREFIX + "/epochs/{n}")
@operation("An epoch", EPOCH_ROW, refuses=EPOCH_REFUSES)
async def epoch(request: web.Request) -> web.Response:
    view = await request.app[READER].epoch(query.path_number(request))
    if view is None:
        raise unknown_epoch(await request.app[READER].network())
    return web.json_response(shapes.plain(view), headers=caching.when_settled(view.closed))


@routes.get(PREFIX + "/epochs/{n}/payouts")
@operation(
    "Payouts of an epoch in the order of device ids",
    listed("payouts", PAYOUT, epoch=INTEGER, closed=openapi.FLAG),
    query=(*PAGED, filters.OWNER),
    refuses=EPOCH_REFUSES,
)
async def epoch_payouts(request: web.Request) -> web.Response:
    limit, place = query.limit(request), cursors.place(request, bytes)
    number, owner = query.path_number(request), query.id_field(request, "owner")
    view = await known_epoch(request, number)
    found = await request.app[READER].payouts(number, place[0] if place else b"", limit + 1, owner)
    answer = cursors.page(request, found, limit, shapes.plain, lambda row: (row.device,))
    closed = view is not None and view.closed
    body = answer.under("payouts", epoch=number, closed=closed)
    return web.json_response(body, headers=caching.when_settled(closed))


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
