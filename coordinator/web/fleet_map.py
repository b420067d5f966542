"""The map: devices by coarse cells, as a figure and as the same numbers in a table; and the devices of one cell."""

import re
from typing import Any

from aiohttp import web

from coordinator.engine import places
from coordinator.kernel.map_views import CellView, MapView
from coordinator.web import map_figure, query, shapes
from coordinator.web.api import PREFIX
from coordinator.web.keys import MAP_DEVICES_MIN, READER
from coordinator.web.openapi import INTEGER, TEXT, Field, operation, record, rows
from coordinator.web.pages import frame
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json
from coordinator.web.templating import render

DEVICES_PER_PAGE = 50
MODES = ("devices", "presence")
_CELL = re.compile("[0-9a-f]{15}")
FIELDS = ("cell", "resolution", "devices", "present", "place")
CELL = record(cell=TEXT, resolution=INTEGER, devices=INTEGER, present=INTEGER, place=TEXT)
MAP = record(within=TEXT, resolution=INTEGER, devices_min=INTEGER, devices=INTEGER, unplaced=INTEGER, cells=rows(CELL))
CELL_SCHEMA = {"type": "string", "pattern": "^[0-9a-f]{15}$"}

routes = web.RouteTableDef()


@routes.get("/map")
async def world(request: web.Request) -> web.Response:
    """All cells."""
    found = await request.app[READER].map(0, request.app[MAP_DEVICES_MIN])
    return await _page(request, found, devices=[], first=True, next="")


@routes.get("/map/{cell}")
async def one_cell(request: web.Request) -> web.Response:
    """One cell with what is in it."""
    reader, after = request.app[READER], query.after_id(request)
    found = await known_cell(request, request.match_info["cell"])
    listed = await reader.devices_at(found.within, request.app[MAP_DEVICES_MIN], after, DEVICES_PER_PAGE + 1)
    shown = listed[:DEVICES_PER_PAGE]
    following = f"?after={shown[-1].device.hex()}" if len(listed) > DEVICES_PER_PAGE else ""
    return await _page(request, found, devices=shown, first=not after, next=following)


@routes.get(PREFIX + "/map")
@operation(
    "Devices by cells of H3, coarse enough to point at nobody",
    MAP,
    query=(Field("cell", CELL_SCHEMA, "only what is inside of this cell"),),
    refuses={400: ("bad_id", "bad_query"), 404: ("unknown_cell",)},
)
async def cells(request: web.Request) -> web.Response:
    text = query.text(request, "cell", 15)
    minimum = request.app[MAP_DEVICES_MIN]
    found = await (known_cell(request, text) if "cell" in request.query else request.app[READER].map(0, minimum))
    within = places.text(found.within) if found.within else ""
    made = shapes.plain(found) | {"within": within, "devices_min": minimum, "cells": [cell(one) for one in found.cells]}
    return web.json_response(made)


def cell(view: CellView) -> Json:
    return shapes.plain(view) | {"cell": places.text(view.cell), "place": places.named(view.cell)}


async def known_cell(request: web.Request, text: str) -> MapView:
    """What is in a cell. Raises Problem bad_id; unknown_cell also for one with too few devices to be drawn."""
    if not _CELL.fullmatch(text):
        raise Problem(400, "bad_id", "A cell is an H3 index: 15 lower-case hexadecimal digits.")
    cell = places.parsed(text)
    if not cell:
        raise Problem(404, "unknown_cell", f"There is no such cell of resolution 0 to {places.FINEST}.")
    minimum = request.app[MAP_DEVICES_MIN]
    found = await request.app[READER].map(cell, minimum)
    if not found.devices:
        raise Problem(404, "unknown_cell", f"This cell has fewer than {max(1, minimum)} devices, so it is not shown.")
    return found


async def _page(request: web.Request, found: MapView, **more: Any) -> web.Response:
    mode = query.text(request, "by", 10) or MODES[0]
    if mode not in MODES:
        raise Problem(400, "bad_query", f"by must be one of {', '.join(MODES)}.", extra={"field": "by"})
    return render(
        request,
        "map.html",
        **frame(request, await request.app[READER].network()),
        map=found,
        rows=[(one, cell(one)) for one in sorted(found.cells, key=lambda one: (-one.devices, one.cell))],
        figure=map_figure.figure(found.cells, found.resolution, mode == "presence"),
        width=map_figure.WIDTH,
        mode=mode,
        within=cell_of(found),
        devices_min=request.app[MAP_DEVICES_MIN],
        across_km=places.across_km,
        **more,
    )


def cell_of(found: MapView) -> Json | None:
    """The cell that is looked into, None for the world."""
    if not found.within:
        return None
    parent = places.parent(found.within)
    return {
        "cell": places.text(found.within),
        "place": places.named(found.within),
        "parent": places.text(parent) if parent else "",
        "across_km": places.across_km(places.resolution(found.within)),
    }
