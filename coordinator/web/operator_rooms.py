"""`/operator/ingest`, `/operator/clusters`, `/operator/rollouts`,
`/operator/parameters`, `/operator/backup`: how the network is doing.

Nothing is done here: each page names the command that does it on the server.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import web

from coordinator.web import access, operator
from coordinator.web.keys import HOUSEKEEPING, NOW, READER
from coordinator.web.metrics import METERS, Sample
from coordinator.web.templating import render

STATEMENTS, REFUSALS = "edgetally_statements_total", "edgetally_refusals_total"
SEEN_MAX = 64  # looks that are kept
OVER_MIN_S, OVER_MAX_S = 2.0, 300.0  # between two looks of which a rate is made


class Look(NamedTuple):
    """Counts at one moment; refusals by reason."""

    at_s: float
    statements: float
    refusals: dict[str, float]


class Rates(NamedTuple):
    """A second, over so many seconds."""

    over_s: float
    statements: float
    refusals: dict[str, float]


SEEN: "web.AppKey[deque[Look]]" = web.AppKey("operator_rooms_seen", deque)

routes = web.RouteTableDef()


def rates(now: Look, seen: Iterable[Look]) -> Rates | None:
    """Since the newest look that is neither too near nor too far; None where there is none, or counts began anew."""
    for one in reversed(list(seen)):
        over_s = now.at_s - one.at_s
        if OVER_MIN_S <= over_s <= OVER_MAX_S and now.statements >= one.statements:
            by_reason = {name: (count - one.refusals.get(name, 0)) / over_s for name, count in now.refusals.items()}
            return Rates(over_s, (now.statements - one.statements) / over_s, by_reason)
    return None


def look(samples: Iterable[Sample], at_s: float) -> Look:
    values = list(samples)
    statements = next((value for name, _, value in values if name == STATEMENTS), 0.0)
    return Look(at_s, statements, {labels[0]: value for name, labels, value in values if name == REFUSALS})


@routes.get("/operator/ingest")
async def ingest(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    health = request.app[METERS].health
    samples = await health.samples()
    now = look(samples, request.app[NOW]())
    seen = request.app[SEEN]
    found = rates(now, seen)
    seen.append(now)
    return render(
        request,
        "operator_ingest.html",
        **await operator.frame(request),
        values={name: value for name, labels, value in samples if not labels},
        stores={labels[0]: value for name, labels, value in samples if name == "edgetally_store_batch_number"},
        failures={labels[0]: value for name, labels, value in samples if name == "edgetally_storage_failures_total"},
        now=now,
        rates=found,
        missing=await health.not_ready(),
    )


@routes.get("/operator/rollouts")
async def rollouts(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    found = await request.app[HOUSEKEEPING].rollouts()
    return render(request, "operator_rollouts.html", **await operator.frame(request), rollouts=found)


@routes.get("/operator/parameters")
async def parameters(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    frame = await operator.frame(request)
    detail = await request.app[READER].epoch_detail(frame["network"].epoch)
    return render(
        request,
        "operator_parameters.html",
        **frame,
        parameters=detail.parameters if detail else [],
        changes=await request.app[READER].changes_to_come(),
    )


@routes.get("/operator/backup")
async def backup(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    newest = await request.app[HOUSEKEEPING].backup()
    return render(request, "operator_backup.html", **await operator.frame(request), newest=newest)


@routes.get("/operator/clusters")
async def clusters(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    found = await request.app[READER].clusters()
    return render(request, "operator_clusters.html", **await operator.frame(request), clusters=found)
