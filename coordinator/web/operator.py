"""`/operator`: the frame of the operator's area and the log of what operators did."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from coordinator.web import access, pages, query
from coordinator.web.keys import OPERATOR_LOG, READER
from coordinator.web.templating import render

ACTIONS_PER_PAGE = 100
ACTION_CHARS_MAX = 40


class Room(NamedTuple):
    """A page of the area, in the order of the navigation."""

    path: str
    name: str
    about: str


# Whoever adds a page of the operator's names it here.
ROOMS = [
    Room("/operator", "Overview", "Everything an operator does, and where"),
    Room("/operator/ingest", "Ingest", "Statements and refusals a second, queue, beacons, stores, disk: now"),
    Room("/operator/appeals", "Appeals", "What owners say about their quarantines, and devices that are held back"),
    Room("/operator/clusters", "Clusters", "Devices that behave as one, to be looked at"),
    Room("/operator/payouts", "Payouts", "What each owner could be paid, and paid references"),
    Room("/operator/tokens", "Tokens", "Enrolment tokens: issue one, show its QR code, see how often it was used"),
    Room("/operator/rollouts", "Rollouts", "Releases on their way to the boards, and why some did not take them"),
    Room("/operator/parameters", "Parameters", "What the network pays by, and what changes with an epoch to come"),
    Room("/operator/backup", "Backup", "When the newest backup was made, and how to try one out"),
    Room("/operator/log", "Log", "Every action of an operator: who, what, why"),
]

routes = web.RouteTableDef()


async def frame(request: web.Request) -> dict[str, Any]:
    """What every page of the area shows around its content."""
    return {**pages.frame(request, await request.app[READER].network()), "rooms": ROOMS, "here": request.path}


@routes.get("/operator")
async def overview(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    standings = await request.app[READER].standings()
    return render(request, "operator.html", **await frame(request), standings=standings)


@routes.get("/operator/log")
async def log(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    before = query.number(request, "before")
    action = query.text(request, "action", ACTION_CHARS_MAX)
    book = request.app[OPERATOR_LOG]
    found = await book.actions(before, ACTIONS_PER_PAGE + 1, action)
    shown = found[:ACTIONS_PER_PAGE]
    fields = {"before": shown[-1].number, **({"action": action} if action else {})} if shown else {}
    return render(
        request,
        "operator_log.html",
        **await frame(request),
        actions=shown,
        kinds=await book.kinds(),
        action=action,
        first=before is None,
        next=f"/operator/log?{urlencode(fields)}" if len(found) > ACTIONS_PER_PAGE else "",
    )
