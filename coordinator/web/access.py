"""Who asks: once for each request, from the cookie of a session or from an API token.

    visitor(request)                    whoever it is; the role is "" for nobody
    demand(request, role, scope)        401 login_required for nobody, 403 not_allowed for another
    demand_account(request, account)    an owner's own things: for that owner alone

Cookies count for browsers, tokens for scripts; a request with a token is judged by the token alone. A cookie that is
unknown or over makes nobody of a visitor, and public pages stay readable; a token that does is refused, because a
script has no eyes to see that.
"""

import secrets
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler
from markupsafe import Markup

from coordinator.kernel.access import (
    ABSOLUTE_S,
    NOBODY,
    OPERATOR,
    OPERATOR_READ,
    OPERATOR_WRITE,
    OWNER,
    OWNER_WRITE,
    READ_PRIVATE,
    READER,
    Person,
    SessionView,
    Visitor,
)
from coordinator.web import caching, csrf, hosts
from coordinator.web.attempts import Attempts
from coordinator.web.hosts import Place
from coordinator.web.keys import ACCESS, ATTEMPTS, NOW, PLACE
from coordinator.web.problems import Problem

__all__ = ["Visitor", "csrf_field", "demand", "demand_account", "visitor"]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
ANYBODY = Visitor()
# Who counts as what: an operator sees all that a reader sees.
COUNTS_AS = {READER: (READER, OPERATOR), OWNER: (OWNER,), OPERATOR: (OPERATOR,)}
READING = {READER: OPERATOR_READ, OWNER: READ_PRIVATE, OPERATOR: OPERATOR_READ}
WRITING = {READER: OPERATOR_READ, OWNER: OWNER_WRITE, OPERATOR: OPERATOR_WRITE}
SESSION_COOKIE, VISIT_COOKIE = "edgetally", "edgetally-visit"
VISIT_S = 3600
_KEY: web.RequestKey["Asking"] = web.RequestKey("access", object)  # type: ignore[arg-type]


class Asking(NamedTuple):
    """What is known of a request. `secret` is that of the cookie that forms are bound to, `new_visit` that it is new;
    `session` is None with a token and for nobody."""

    visitor: Visitor = ANYBODY
    session: SessionView | None = None
    secret: str = ""
    new_visit: bool = False


# WHAT HANDLERS ASK


def visitor(request: web.BaseRequest) -> Visitor:
    return asking(request).visitor


def demand(request: web.BaseRequest, role: str, scope: str = "") -> Visitor:
    """The visitor, who has this role and scope; without a scope the role's own, for reading or for writing by the
    method. Raises Problem login_required, not_allowed."""
    found = visitor(request)
    if found.role == NOBODY:
        raise login_required()
    wanted = scope or (READING if request.method in SAFE_METHODS else WRITING)[role]
    if found.role not in COUNTS_AS[role]:
        raise Problem(403, "not_allowed", f"This is for {_plural(role)}, and you are signed in as {found.role}.")
    if wanted not in found.scopes:
        raise Problem(403, "not_allowed", f"This API token has no scope {wanted}.")
    return found


def demand_account(request: web.BaseRequest, account: bytes, scope: str = "") -> Visitor:
    """The owner of this account and nobody else. Raises Problem login_required, not_allowed."""
    found = demand(request, OWNER, scope)
    if found.account != account:
        raise Problem(403, "not_allowed", "This belongs to another owner.")
    return found


def demand_signed_in(request: web.BaseRequest) -> SessionView:
    """The session of a person at a browser, of any role. An API token does not do. Raises Problem login_required."""
    found = asking(request)
    if found.session is None:
        raise login_required()
    return found.session


def login_required() -> Problem:
    return Problem(401, "login_required", "Sign in first.", headers={"WWW-Authenticate": "Bearer"})


def is_on(request: web.BaseRequest) -> bool:
    """Whether people sign in on this server at all."""
    return isinstance(request, web.Request) and ACCESS in request.app


def csrf_field(request: web.BaseRequest) -> Markup:
    """The hidden field of a form, for templates; begins a visit if there is neither session nor visit."""
    return csrf.field(csrf.token_of(secret_of(request)))


def secret_of(request: web.BaseRequest) -> str:
    """Of the session or of the visit, which is begun if there is none."""
    found = asking(request)
    if not found.secret:
        found = found._replace(secret=secrets.token_urlsafe(32), new_visit=True)
        request[_KEY] = found
    return found.secret


def asking(request: web.BaseRequest) -> Asking:
    return request[_KEY] if _KEY in request else Asking()


def now_of(request: web.Request) -> int:
    return int(request.app[NOW]())


def address(request: web.Request) -> str:
    """Who asks, for counting."""
    return hosts.address(request, request.app[PLACE])


def attempts(request: web.Request) -> Attempts:
    return request.app[ATTEMPTS]


# ONCE FOR EACH REQUEST


@web.middleware
async def resolve(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Check the host, find out who asks, and check where a form comes from."""
    place = request.app[PLACE]
    hosts.check(request, place)
    if ACCESS not in request.app:
        return await handler(request)
    if "Authorization" in request.headers:
        request[_KEY] = await _by_token(request)
        return await handler(request)
    if request.path.startswith("/static/"):
        return await handler(request)
    found = await _by_cookie(request)
    request[_KEY] = found
    if request.method not in SAFE_METHODS:
        await _check_sender(request, found, place)
    response = await handler(request)
    begun = asking(request)
    if begun.new_visit and not response.prepared and not response.cookies:
        _set(response, request.app, VISIT_COOKIE, begun.secret, VISIT_S)
    return response


async def _check_sender(request: web.Request, found: Asking, place: Place) -> None:
    """Raises Problem wrong_origin, bad_csrf."""
    is_form = request.content_type in csrf.FORM_TYPES
    if not is_form and found.session is None:
        return
    csrf.check_origin(request, place)
    # The API takes what is signed or has a token, and looks at no cookie.
    if request.content_type in csrf.SIMPLE_TYPES and not request.path.startswith("/api/"):
        await csrf.check_field(request, found.secret)


async def _by_cookie(request: web.Request) -> Asking:
    secret = request.cookies.get(cookie_name(request.app, SESSION_COOKIE), "")
    session = await request.app[ACCESS].session(secret, now_of(request)) if secret else None
    if session is not None:
        return Asking(session.person.visitor, session, secret)
    return Asking(secret=request.cookies.get(cookie_name(request.app, VISIT_COOKIE), "")[:64])


async def _by_token(request: web.Request) -> Asking:
    """Raises Problem bad_token, too_many_attempts."""
    kind, _, secret = request.headers["Authorization"].partition(" ")
    counted, now, who = attempts(request), now_of(request), address(request)
    token = await request.app[ACCESS].token(secret.strip(), now) if kind.lower() == "bearer" else None
    if token is None:
        # Not before: a script with an old token must not keep out the others behind the same address.
        counted.check(now, who)
        counted.failed(now, who)
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        raise Problem(401, "bad_token", "This API token is unknown, was revoked, or is over.", headers=headers)
    return Asking(token.person.visitor._replace(scopes=token.scopes & token.person.visitor.scopes))


# COOKIES


def cookie_name(app: web.Application, name: str) -> str:
    return f"__Host-{name}" if app[PLACE].is_secure else name


async def sign_in(request: web.Request, person: Person, means: str, to: str) -> web.Response:
    """A new session, in the place of whatever the browser held before; and on to a page."""
    access, held = request.app[ACCESS], asking(request)
    if held.session is not None:
        await access.end_session(held.session.id)
    secret = await access.open_session(person, means, now_of(request))
    attempts(request).succeeded(address(request), person.account.hex())
    response = _going(to)
    _set(response, request.app, SESSION_COOKIE, secret, ABSOLUTE_S)
    _drop(response, request.app, VISIT_COOKIE)
    return response


async def sign_out(request: web.Request, to: str) -> web.Response:
    held = asking(request)
    if held.session is not None:
        await request.app[ACCESS].end_session(held.session.id)
    response = _going(to)
    _drop(response, request.app, SESSION_COOKIE)
    return response


def _going(to: str) -> web.Response:
    return web.Response(status=303, headers={"Location": to, "Cache-Control": "no-store"})


def _set(response: web.StreamResponse, app: web.Application, name: str, value: str, max_age: int) -> None:
    secure = app[PLACE].is_secure
    flags = {"path": "/", "httponly": True, "samesite": "Strict", "secure": secure}
    response.set_cookie(cookie_name(app, name), value, max_age=max_age, **flags)  # type: ignore[arg-type]


def _drop(response: web.StreamResponse, app: web.Application, name: str) -> None:
    secure = app[PLACE].is_secure
    response.del_cookie(cookie_name(app, name), path="/", secure=secure, httponly=True, samesite="Strict")


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Signal of aiohttp: an answer is about to leave. What a signed-in person sees is for nobody else's cache."""
    found = asking(request)
    if caching.is_for_all(response):
        return
    if found.visitor.role != NOBODY or found.new_visit:
        response.headers["Cache-Control"] = caching.NOT_AT_ALL
    else:
        response.headers.add("Vary", "Cookie")


def _plural(role: str) -> str:
    return f"{role}s"
