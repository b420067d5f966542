"""Pages of epochs: the list, and one epoch with its sum, its reasons and its payouts."""

from aiohttp import web

from coordinator.kernel.epoch_views import DayView
from coordinator.web import caching, cursors, figures, query, shapes, words
from coordinator.web.api import PREFIX, unknown_epoch
from coordinator.web.keys import READER
from coordinator.web.models import DAY, EPOCH_DETAIL
from coordinator.web.openapi import CURSOR, EPOCH_REFUSES, QUERY_REFUSES, listed, number, operation
from coordinator.web.pages import frame
from coordinator.web.shapes import Json
from coordinator.web.templating import render

EPOCHS_PER_PAGE = 50
EPOCHS_DRAWN = 40
PAYOUTS_PER_PAGE = 50
DAYS_SHOWN, DAYS_MAX = 31, 92

routes = web.RouteTableDef()


@routes.get("/epochs")
async def epochs(request: web.Request) -> web.Response:
    reader, before = request.app[READER], query.number(request, "before")
    found = await reader.epochs(before, EPOCHS_PER_PAGE + 1)
    shown = found[:EPOCHS_PER_PAGE]
    days = await reader.days(before, DAYS_SHOWN)
    return render(
        request,
        "epochs.html",
        **frame(request, await reader.network()),
        epochs=shown,
        chart=figures.emissions(shown[:EPOCHS_DRAWN]),
        days=days,
        by_day=figures.days(days),
        first=before is None,
        next=f"/epochs?before={shown[-1].number}" if len(found) > EPOCHS_PER_PAGE else "",
    )


@routes.get("/epochs/{n}")
async def epoch(request: web.Request) -> web.Response:
    reader, number, after = request.app[READER], query.path_number(request), query.after_id(request)
    network = await reader.network()
    detail = await reader.epoch_detail(number)
    if detail is None:
        raise unknown_epoch(network)
    found = await reader.payouts(number, after, PAYOUTS_PER_PAGE + 1)
    shown = found[:PAYOUTS_PER_PAGE]
    batch = await reader.batch(detail.epoch.batch) if detail.epoch.closed else None
    return render(
        request,
        "epoch.html",
        **frame(request, network),
        detail=detail,
        epoch=detail.epoch,
        payouts=shown,
        first=not after,
        next=f"?after={shown[-1].device.hex()}#payouts" if len(found) > PAYOUTS_PER_PAGE else "",
        gantt=figures.gantt(batch.spans) if batch else None,
        newer=number + 1 if number < network.epoch else None,
        older=number - 1 if number > 0 else None,
    )


@routes.get(PREFIX + "/rewards")
@operation(
    "Rewards by days of UTC and kinds, newest first",
    listed("days", DAY),
    query=(number("limit", "how many days at most", 1, DAYS_MAX), CURSOR),
    refuses=QUERY_REFUSES,
)
async def rewards(request: web.Request) -> web.Response:
    limit = query.number(request, "limit", 1, DAYS_MAX) or DAYS_SHOWN
    place = cursors.place(request, int)
    found = await request.app[READER].days(place[0] if place else None, limit + 1)
    answer = cursors.page(request, found, limit, day_shape, lambda row: (row.first,))
    return web.json_response(answer.under("days"))


def day_shape(view: DayView) -> Json:
    return shapes.plain(view) | {"date": words.date(view.day)}


@routes.get(PREFIX + "/epochs/{n}/detail")
@operation("An epoch with its sum and its reasons", EPOCH_DETAIL, refuses=EPOCH_REFUSES)
async def epoch_detail(request: web.Request) -> web.Response:
    detail = await request.app[READER].epoch_detail(query.path_number(request))
    if detail is None:
        raise unknown_epoch(await request.app[READER].network())
    return web.json_response(
        {
            "epoch": shapes.plain(detail.epoch),
            "state": detail.state,
            "missing": detail.missing,
            "reasons": [shapes.plain(each) for each in detail.reasons],
            "posted": [shapes.plain(each) for each in detail.posted],
            "parameters": dict(detail.parameters),
        },
        headers=caching.when_settled(detail.state == "closed"),
    )
