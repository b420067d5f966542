"""Signing in with an account's own key: it answers a challenge, on a command line or in the browser.

For an account that nobody knows everything is done as for one that is known, with a key that signs for nobody: neither
the answer nor the time it takes tells which accounts there are.
"""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from nacl.signing import SigningKey

from coordinator.engine import wire
from coordinator.engine.login_wire import LOGIN_BYTES_MAX, Login, login_of
from coordinator.kernel.access import OWNER, Person
from coordinator.web import access, csrf, forms, hosts
from coordinator.web.challenges import UNBOUND, expiry_of
from coordinator.web.keys import ACCESS, CHALLENGES, OWNERS, PLACE, READER
from coordinator.web.landing import NEXT_CHARS_MAX, landing
from coordinator.web.problems import Problem
from coordinator.web.submit import CONTENT_TYPE

PURPOSE = "owner key"
LINK_S = 300
NOBODYS_KEY = bytes(SigningKey.generate().verify_key)  # whose secret half is forgotten at once

routes = web.RouteTableDef()


class Asked(NamedTuple):
    """What a page or a command line gives to the key's holder to sign."""

    challenge: bytes
    expiry: int
    genesis: bytes


@routes.get("/login/challenge")
async def challenge(request: web.Request) -> web.Response:
    """For a command line; a page holds its own, bound to its cookie."""
    asked = await _ask(request, UNBOUND)
    answer = {"challenge": asked.challenge.hex(), "expiry": asked.expiry, "genesis": asked.genesis.hex()}
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


@routes.post("/login/owner")
async def login(request: web.Request) -> web.Response:
    """Of a page: a session. Of a command line: the address of a link that signs in once."""
    if request.content_type in csrf.FORM_TYPES:
        text = await forms.text(request, "envelope", 4 * LOGIN_BYTES_MAX // 3 + 4)
        person = await _signed_in(request, _decoded(text), access.secret_of(request))
        wanted = await forms.text(request, "next", NEXT_CHARS_MAX)
        return await access.sign_in(request, person, "key", landing(request, OWNER, wanted))
    if request.content_type != CONTENT_TYPE:
        raise Problem(415, "unsupported_type", f"The answer to a challenge is sent as {CONTENT_TYPE}, or by a form.")
    person = await _signed_in(request, await request.read(), UNBOUND)
    code = await request.app[ACCESS].invite(person, access.now_of(request), LINK_S)
    address = hosts.url(request, request.app[PLACE], "/login/link?" + urlencode({"code": code}))
    return web.json_response({"address": address, "expires_s": LINK_S}, headers={"Cache-Control": "no-store"})


async def page_challenge(request: web.Request) -> Asked:
    return await _ask(request, access.secret_of(request))


async def _ask(request: web.Request, binding: str) -> Asked:
    made = await request.app[CHALLENGES].new(PURPOSE, binding, access.now_of(request))
    return Asked(made, expiry_of(made), (await request.app[READER].network()).genesis)


async def _signed_in(request: web.Request, envelope: bytes, binding: str) -> Person:
    """The owner whose key answered. Raises Problem login_failed, too_many_attempts."""
    now, who, counted = access.now_of(request), access.address(request), access.attempts(request)
    counted.check(now, who)
    try:
        said = login_of(envelope, (await request.app[READER].network()).genesis)
    except wire.Refused:
        counted.failed(now, who)
        raise failed() from None
    counted.check(now, who, said.account.hex())
    if not await _holds(request, said, binding, now):
        counted.failed(now, who, said.account.hex())
        raise failed()
    return await request.app[ACCESS].person(OWNER, said.account, "", now)


async def _holds(request: web.Request, said: Login, binding: str, now: int) -> bool:
    """All of it is looked at, whatever is wrong with the first."""
    challenges = request.app[CHALLENGES]
    key = (await request.app[OWNERS].account(said.account)).public_key
    is_signed = wire.is_signed_by(said.signed, key or NOBODYS_KEY)
    is_fresh = await challenges.is_fresh(said.challenge, PURPOSE, binding, now)
    is_here = said.origin in hosts.origins(request, request.app[PLACE]) and said.expiry == expiry_of(said.challenge)
    if not (is_signed and is_fresh and is_here and bool(key)):
        return False
    return await challenges.spend(said.challenge, now)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def failed() -> Problem:
    return Problem(403, "login_failed", "This did not sign you in. Reload the page and try again.")
