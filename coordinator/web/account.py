"""`/account`: what a person signs in with, which scripts may speak for it, and where it wants to be told."""

from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from coordinator.kernel.access import (
    EVENTS,
    NAME_CHARS_MAX,
    OWNER,
    SCOPES,
    SCOPES_OF,
    SessionView,
    TooMany,
    is_name,
)
from coordinator.web import access, forms, pages, passkeys
from coordinator.web.keys import ACCESS, CONTACTS, NOTICES, READER
from coordinator.web.problems import Problem
from coordinator.web.templating import render

DAYS_MAX = 366
DAY_S = 86_400
ADDRESS_CHARS_MAX = 200

routes = web.RouteTableDef()


@routes.get("/account")
async def page(request: web.Request) -> web.Response:
    return await _shown(request, access.demand_signed_in(request))


@routes.post("/account/tokens")
async def new_token(request: web.Request) -> web.Response:
    """The page with the token in it: it is shown this once."""
    session = access.demand_signed_in(request)
    name = await forms.text(request, "name", NAME_CHARS_MAX, 1)
    if not is_name(name):
        raise forms.wrong("name", f"must be 1 to {NAME_CHARS_MAX} printable characters")
    scopes = await forms.several(request, "scope", SCOPES_OF[session.person.role])
    if not scopes:
        raise forms.wrong("scope", "must be marked: a token without one is good for nothing")
    days = await forms.number(request, "days", 1, DAYS_MAX)
    now = access.now_of(request)
    try:
        made = await request.app[ACCESS].new_token(session.person, name, scopes, now, days * DAY_S)
    except TooMany as error:
        raise _too_many(error) from None
    return await _shown(request, session, made=made)


@routes.post("/account/tokens/revoke")
async def revoke_token(request: web.Request) -> web.Response:
    person = access.demand_signed_in(request).person
    await request.app[ACCESS].revoke_token(await forms.binary(request, "token", 32, 32), person.id)
    raise web.HTTPSeeOther("/account")


@routes.post("/account/sessions/end")
async def end_session(request: web.Request) -> web.Response:
    """One, or all of them, this one too."""
    person = access.demand_signed_in(request).person
    if await forms.text(request, "session", 64) == "all":
        await request.app[ACCESS].end_sessions(person.id)
        return await access.sign_out(request, "/login")
    await request.app[ACCESS].end_session(await forms.binary(request, "session", 32, 32), person.id)
    raise web.HTTPSeeOther("/account")


@routes.post("/account/contacts")
async def add_contact(request: web.Request) -> web.Response:
    person = access.demand_signed_in(request).person
    if person.role != OWNER:
        raise Problem(403, "not_allowed", "Notices are about devices and pay, so they go to owners.")
    address = await forms.text(request, "address", ADDRESS_CHARS_MAX, 1)
    events = await forms.several(request, "event", frozenset(EVENTS))
    kind = kind_of(address)
    if not kind:
        raise forms.wrong("address", "must be an e-mail address, or https://... of a webhook")
    if not events:
        raise forms.wrong("event", "must be marked: say what you want to be told")
    try:
        await request.app[CONTACTS].add(person, kind, address, events, access.now_of(request))
    except TooMany as error:
        raise _too_many(error) from None
    raise web.HTTPSeeOther("/account")


@routes.post("/account/contacts/remove")
async def remove_contact(request: web.Request) -> web.Response:
    person = access.demand_signed_in(request).person
    await request.app[CONTACTS].remove(await forms.number(request, "contact", 0, 2**53), person.id)
    raise web.HTTPSeeOther("/account")


def kind_of(address: str) -> str:
    """`email`, `webhook`, or "" for neither. Nothing in it can end a header or a line."""
    if any(one.isspace() or not one.isprintable() or one in "<>\"'(),;\\" for one in address) or not address.isascii():
        return ""
    if address.startswith(("https://", "http://")):
        try:
            found = urlsplit(address)
            named = bool(found.hostname) and found.port != 0 and not found.username and not found.password
        except ValueError:
            return ""
        return "webhook" if named else ""
    name, at, domain = address.partition("@")
    is_email = bool(name and at) and "@" not in domain and "." in domain.strip(".") and ":" not in address
    return "email" if is_email and len(name) <= 64 and not name.startswith("-") else ""


async def _shown(request: web.Request, session: SessionView, made: str = "") -> web.Response:
    person, now, store = session.person, access.now_of(request), request.app[ACCESS]
    held = await store.passkeys(person.id)
    values: dict[str, Any] = {
        "person": person,
        "session": session,
        "passkeys": held,
        "passkey": await passkeys.add_options(request, person, held),
        "tokens": await store.tokens(person.id),
        "sessions": await store.sessions(person.id, now),
        "contacts": await request.app[CONTACTS].of_person(person.id),
        "secret": request.app[NOTICES].secret if NOTICES in request.app else None,
        "scopes": [scope for scope in SCOPES if scope in SCOPES_OF[person.role]],
        "events": EVENTS,
        "days_max": DAYS_MAX,
        "now": now,
        "made": made,
        "welcome": request.query.get("welcome") == "1",
    }
    return render(request, "account.html", **pages.frame(request, await request.app[READER].network()), **values)


def _too_many(error: TooMany) -> Problem:
    return Problem(409, "too_many", f"You may have {error}. Remove one first.")
