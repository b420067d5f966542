"""The link at the end of every notice: no more of these. It needs no login, only the link.

GET   /notices/stop           asks: programs that look at mail follow links
POST  /notices/stop           the button
POST  /api/v1/notices/stop    one click in a mail program (RFC 8058)
"""

from aiohttp import web

from coordinator.web import forms, pages, query
from coordinator.web.api import PREFIX
from coordinator.web.keys import NOTICES, READER
from coordinator.web.openapi import Field, number, operation
from coordinator.web.problems import Problem
from coordinator.web.templating import render

CODE_CHARS = 32
CONTACT_MAX = 2**53

routes = web.RouteTableDef()


@routes.get("/notices/stop")
async def ask(request: web.Request) -> web.Response:
    contact, code = _asked(request)
    state = await request.app[READER].network()
    return render(request, "notices_stop.html", **pages.frame(request, state), contact=contact, code=code, done=False)


@routes.post("/notices/stop")
async def stop(request: web.Request) -> web.Response:
    contact = await forms.number(request, "contact", 0, CONTACT_MAX)
    await _stopped(request, contact, await forms.text(request, "code", CODE_CHARS, CODE_CHARS))
    state = await request.app[READER].network()
    return render(request, "notices_stop.html", **pages.frame(request, state), contact=contact, code="", done=True)


@routes.post(PREFIX + "/notices/stop")
@operation(
    "No more notices to a contact: the link at the end of each of them",
    answers={204: {}},
    query=(
        number("contact", "as in the link", high=CONTACT_MAX, required=True),
        Field("code", {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{0,{CODE_CHARS}}}$"}, "as in the link"),
    ),
    refuses={400: ("bad_query",), 403: ("not_allowed",)},
)
async def one_click(request: web.Request) -> web.Response:
    await _stopped(request, *_asked(request))
    return web.Response(status=204)


def _asked(request: web.Request) -> tuple[int, str]:
    contact, code = query.number(request, "contact", 0, CONTACT_MAX), query.text(request, "code", CODE_CHARS)
    if contact is None:
        raise Problem(400, "bad_query", "contact must be given.", extra={"field": "contact"})
    return contact, code


async def _stopped(request: web.Request, contact: int, code: str) -> None:
    """Again is as good as once: what is gone stays gone."""
    if not await request.app[NOTICES].stop(contact, code):
        raise Problem(403, "not_allowed", "This link is not one of ours.")
