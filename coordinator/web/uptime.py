"""The page of uptime: devices by epochs, as a table whose cells are coloured."""

import functools
from typing import NamedTuple

from aiohttp import web
from markupsafe import Markup

from coordinator.kernel.uptime_views import UptimeRow
from coordinator.web import charts, query
from coordinator.web.keys import READER
from coordinator.web.pages import frame
from coordinator.web.problems import Problem
from coordinator.web.templating import render

DEVICES_PER_PAGE = 50
EPOCHS_SHOWN = 60
MARK_EVERY = 10  # epochs, above the columns
SHOWN = ("all", "missed")

routes = web.RouteTableDef()


class Row(NamedTuple):
    """`cells` newest first, empty ones before the device enrolled; `ppm` in whole thousands."""

    device: bytes
    ppm: int | None
    cells: Markup


@routes.get("/uptime")
async def uptime(request: web.Request) -> web.Response:
    reader, after, before = request.app[READER], query.after_id(request), query.number(request, "before")
    show = query.text(request, "show", 10) or SHOWN[0]
    if show not in SHOWN:
        raise Problem(400, "bad_query", f"show must be one of {', '.join(SHOWN)}.", extra={"field": "show"})
    view = await reader.uptime(after, before, EPOCHS_SHOWN, DEVICES_PER_PAGE, show == "missed")
    return render(
        request,
        "uptime.html",
        **frame(request, await reader.network()),
        view=view,
        rows=[made(row) for row in view.rows] if view else [],
        epochs=range(view.last, view.first - 1, -1) if view else (),
        mark_every=MARK_EVERY,
        show=show,
        first=not after,
        query=_query(before, show),
        next=_query(before, show, view.next.hex()) if view and view.next else "",
        older=_query(view.first, show) if view and view.first else "",
        newest=_query(None, show) if before is not None else "",
        switch=[(name, _query(before, name)) for name in SHOWN],
    )


def made(row: UptimeRow) -> Row:
    windows = sum(each for _, each in row.up)
    present = sum(each for each, _ in row.up)
    cells = "".join(_cell(*each) for each in reversed(row.up))
    return Row(row.device, present * 1000 // windows * 1000 if windows else None, Markup(cells))  # noqa: S704


@functools.lru_cache(maxsize=4096)
def _cell(up: int, of: int) -> str:
    """Of a table that has thousands, most of them alike."""
    return f'<td class="level{charts.level(up, of):d}"><i>{up * 100 // of:d}</i></td>' if of else "<td></td>"


def _query(before: int | None, show: str, after: str = "") -> str:
    fields = {"show": show if show != SHOWN[0] else "", "before": "" if before is None else str(before), "after": after}
    given = "&".join(f"{name}={value}" for name, value in fields.items() if value)
    return f"/uptime?{given}" if given else "/uptime"
