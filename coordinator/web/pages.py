"""The pages: network, devices, device, owner, batch. Each is one read of the published state."""

import asyncio
from typing import Any

from aiohttp import web

from coordinator.kernel.filters import STANDINGS, DeviceFilter, DevicePlace
from coordinator.kernel.views import NetworkView
from coordinator.web import cursors, device_page, figures, filters, query, search
from coordinator.web.keys import NOW, READER
from coordinator.web.problems import Problem
from coordinator.web.templating import render

EPOCHS_SHOWN = 15
EPOCHS_DRAWN = 40
DEVICES_SHOWN = 25
DEVICES_PER_PAGE = 100
DEVICES_TAKE = ("cursor", "live", "form", *(field.name for field in filters.DEVICES))
MEASURES_OFFERED = 100
OWNERS_SHOWN = 8
STALLED_BEACONS = 4
REFRESH_MIN_S, REFRESH_MAX_S = 2, 60

routes = web.RouteTableDef()


@routes.get("/")
async def network(request: web.Request) -> web.Response:
    """The network page; with `?q=` also the answer to a search that found nothing."""
    wanted = query.text(request, "q", search.QUERY_CHARS_MAX)
    found = await search.look_up(request, wanted) if wanted else search.Found([])
    if len(found.addresses) == 1:
        raise web.HTTPSeeOther(found.addresses[0])
    reader = request.app[READER]
    state, epochs, devices, owners = await asyncio.gather(
        reader.network(),
        reader.epochs(None, EPOCHS_DRAWN),
        reader.devices(b"", DEVICES_SHOWN + 1),
        reader.owners(OWNERS_SHOWN),
    )
    return render(
        request,
        "network.html",
        **frame(request, state),
        epochs=epochs[:EPOCHS_SHOWN],
        older=len(epochs) > EPOCHS_SHOWN,
        chart=figures.emissions(epochs),
        owners=owners,
        devices=devices[:DEVICES_SHOWN],
        more=len(devices) > DEVICES_SHOWN,
        refusals=sorted(state.refusals.items(), key=lambda each: (-each[1], each[0])),
        missing=found.missing,
        several=found.hits,
        wanted=wanted,
    )


@routes.get("/devices")
async def devices(request: web.Request) -> web.Response:
    """Page by page, as the API lists them."""
    filters.only(request, DEVICES_TAKE)
    reader, chosen, place = request.app[READER], filters.devices(request), cursors.place(request, int, bytes)
    found, network, measures = await asyncio.gather(
        reader.devices_where(chosen, DevicePlace(*place) if place else None, DEVICES_PER_PAGE),
        reader.network(),
        reader.measures(),
    )
    return render(
        request,
        "devices.html",
        **frame(request, network),
        devices=found.devices,
        chosen=chosen,
        filtered=chosen != DeviceFilter(),
        standings=STANDINGS,
        measures=measures[:MEASURES_OFFERED],
        first=place is None,
        begin=str(request.rel_url.without_query_params("cursor", "live")),
        next=cursors.address(request, None, *found.next) if found.next else "",
    )


@routes.get("/devices/{id}")
async def device(request: web.Request) -> web.Response:
    state, values = await device_page.read(request)
    return render(request, "device.html", **frame(request, state), **values)


@routes.get("/batches/{n}")
async def batch(request: web.Request) -> web.Response:
    view = await request.app[READER].batch(query.path_number(request, "A batch"))
    if view is None:
        raise Problem(404, "unknown_batch", "This batch is not sealed yet.")
    return render(
        request,
        "batch.html",
        **frame(request, await request.app[READER].network()),
        batch=view,
        gantt=figures.gantt(view.spans),
    )


def frame(request: web.Request, state: NetworkView) -> dict[str, Any]:
    """What every page of the network shows around its content."""
    silence_s = max(0, int(request.app[NOW]()) - state.beacon_time)
    live = request.query.get("live") == "1"
    interval_s = max(1, state.beacon_interval_s)
    still = request.rel_url.without_query_params("live")
    refresh_s = min(max(interval_s, REFRESH_MIN_S), REFRESH_MAX_S)
    return {
        "network": state,
        "silence_s": silence_s,
        "stalled": silence_s > STALLED_BEACONS * interval_s,
        "live": live,
        "refresh_s": refresh_s if live else 0,
        "still": str(still),
        "moving": str(still.extend_query(live=1)),
    }


def problem(request: web.Request, problem: Problem) -> web.Response:
    """A problem for a person. Reads nothing: it must stand when all else fails."""
    response = render(request, "problem.html", problem.status, problem=problem, refresh_s=0)
    response.headers.update(problem.headers)
    return response
