"""`/login` and `/logout`: the ways in. A passkey, the key of an account, or a one-time link from the command line.

A link is opened by a button, not by its address alone: what looks at addresses before people do (previews, scanners)
must not use it up. Whatever fails, the answer is the same.
"""

from aiohttp import web

from coordinator.web import access, forms, hosts, owner_key, pages, passkeys, query
from coordinator.web.keys import ACCESS, OWNERS, PLACE, READER
from coordinator.web.landing import NEXT_CHARS_MAX, safe_next
from coordinator.web.problems import Problem
from coordinator.web.templating import render

CODE_CHARS_MAX = 64

routes = web.RouteTableDef()


@routes.get("/login")
async def page(request: web.Request) -> web.Response:
    wanted = safe_next(query.text(request, "next", NEXT_CHARS_MAX))
    place = request.app[PLACE]
    state = await request.app[READER].network()
    return render(
        request,
        "login.html",
        **pages.frame(request, state),
        next=wanted,
        passkey=await passkeys.login_options(request),
        owner_key=await owner_key.page_challenge(request) if OWNERS in request.app else None,
        url=hosts.url(request, place, ""),
    )


@routes.get("/login/link")
async def link(request: web.Request) -> web.Response:
    """The page behind a one-time link. It looks at nothing: whether the code is good is told after the button."""
    code = query.text(request, "code", CODE_CHARS_MAX)
    state = await request.app[READER].network()
    return render(request, "login_link.html", **pages.frame(request, state), code=code)


@routes.post("/login/link")
async def follow(request: web.Request) -> web.Response:
    code = await forms.text(request, "code", CODE_CHARS_MAX, 1)
    counted, now, who = access.attempts(request), access.now_of(request), access.address(request)
    counted.check(now, who)
    person = await request.app[ACCESS].redeem(code, now)
    if person is None:
        counted.failed(now, who)
        raise Problem(403, "login_failed", "This link was used already, or is over. Ask for another one.")
    return await access.sign_in(request, person, "link", "/account?welcome=1")


@routes.post("/logout")
async def logout(request: web.Request) -> web.Response:
    return await access.sign_out(request, "/login")
