"""Passkeys (WebAuthn level 3): signing in with one, adding one, taking one away.

Pages carry the options and take the browser's answer in a form, so the script between them only asks the browser. A
passkey belongs to a name, not to an address: a server without a public URL has them at http://localhost only.
"""

import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from coordinator.kernel.access import PasskeyView, Person, TooMany, is_name
from coordinator.web import access, forms, hosts
from coordinator.web.challenges import LIFETIME_S
from coordinator.web.keys import ACCESS, CHALLENGES, PLACE
from coordinator.web.landing import NEXT_CHARS_MAX, landing
from coordinator.web.problems import Problem

log = structlog.get_logger("web")

ADD, LOGIN = "add a passkey", "passkey login"
ANSWER_CHARS_MAX = 3000
CREDENTIAL_BYTES_MAX = 1023  # WebAuthn, section 5.8.3
VERIFIED = UserVerificationRequirement.REQUIRED

routes = web.RouteTableDef()


class Party(NamedTuple):
    """The relying party: the name that passkeys are bound to, and the origins whose pages may ask for them."""

    name: str
    origins: list[str]


def party(request: web.Request) -> Party | None:
    """None where browsers have no passkeys: under a bare address, or without TLS elsewhere than on this machine."""
    place = request.app[PLACE]
    name = urlsplit(place.public_url).hostname or hosts.name_of(request.headers.get("Host", ""))
    if hosts.is_address(name) or not (place.is_secure or name == "localhost"):
        return None
    return Party(name, [place.public_url] if place.public_url else sorted(hosts.origins(request, place)))


async def login_options(request: web.Request) -> str:
    """JSON for the browser, "" where there are no passkeys. It names nobody: the authenticator knows whose it is."""
    at = party(request)
    if at is None:
        return ""
    challenge = await _challenge(request, LOGIN)
    options = generate_authentication_options(
        rp_id=at.name, challenge=challenge, timeout=LIFETIME_S * 1000, user_verification=VERIFIED
    )
    return options_to_json(options)


async def add_options(request: web.Request, person: Person, held: list[PasskeyView]) -> str:
    at = party(request)
    if at is None:
        return ""
    options = generate_registration_options(
        rp_id=at.name,
        rp_name="Edgetally",
        user_id=person.id,
        user_name=f"{person.role} {person.name}",
        challenge=await _challenge(request, ADD),
        timeout=LIFETIME_S * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=VERIFIED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one.credential) for one in held],
    )
    return options_to_json(options)


@routes.post("/login/passkey")
async def login(request: web.Request) -> web.Response:
    answer, wanted = await _answer(request), await forms.text(request, "next", NEXT_CHARS_MAX)
    now, who, counted = access.now_of(request), access.address(request), access.attempts(request)
    counted.check(now, who)
    held = await request.app[ACCESS].passkey(_credential(answer))
    subject = held[1].id.hex() if held else ""
    counted.check(now, who, subject)
    count = await _checked_login(request, answer, held[0]) if held else None
    if held is None or count is None:
        counted.failed(now, who, subject)
        raise Problem(403, "login_failed", "This passkey did not sign you in. Reload the page and try again.")
    await request.app[ACCESS].passkey_used(held[0].credential, count, now)
    counted.succeeded(who, subject)
    return await access.sign_in(request, held[1], "passkey", landing(request, held[1].role, wanted))


@routes.post("/account/passkeys")
async def add(request: web.Request) -> web.Response:
    person, answer = access.demand_signed_in(request).person, await _answer(request)
    name = await forms.text(request, "name", 40, 1)
    if not is_name(name):
        raise forms.wrong("name", "must be 1 to 40 printable characters")
    made = await _checked_new(request, answer)
    if made is None:
        raise Problem(403, "passkey_refused", "The browser's answer does not fit. Reload the page and try again.")
    try:
        added = await request.app[ACCESS].add_passkey(person.id, *made, name, access.now_of(request))
    except TooMany as error:
        raise Problem(409, "too_many", f"You may have {error}. Remove one first.") from None
    if not added:
        raise Problem(409, "passkey_refused", "This passkey is known already.")
    raise web.HTTPSeeOther("/account")


@routes.post("/account/passkeys/remove")
async def remove(request: web.Request) -> web.Response:
    person = access.demand_signed_in(request).person
    credential = await forms.binary(request, "credential", CREDENTIAL_BYTES_MAX)
    await request.app[ACCESS].remove_passkey(credential, person.id)
    raise web.HTTPSeeOther("/account")


async def _checked_login(request: web.Request, answer: dict[str, Any], held: PasskeyView) -> int | None:
    """The passkey's new count, None for an answer that does not hold. A count that goes back, as that of a copied
    authenticator does, is one of those."""
    challenge, at = await _fresh(request, answer, LOGIN), party(request)
    if challenge is None or at is None:
        return None
    try:
        found = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=at.name,
            expected_origin=at.origins,
            credential_public_key=held.public_key,
            credential_current_sign_count=held.sign_count,
            require_user_verification=True,
        )
    except Exception as error:  # whatever a hostile answer makes of somebody else's parsers
        log.info("passkey_refused", reason=type(error).__name__)
        return None
    return found.new_sign_count if await _spent(request, challenge) else None


async def _checked_new(request: web.Request, answer: dict[str, Any]) -> tuple[bytes, bytes, int] | None:
    """(credential, public key, count) of a new passkey, None for an answer that does not hold."""
    challenge, at = await _fresh(request, answer, ADD), party(request)
    if challenge is None or at is None:
        return None
    try:
        found = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=at.name,
            expected_origin=at.origins,
            require_user_verification=True,
        )
    except Exception as error:  # as above
        log.info("passkey_refused", reason=type(error).__name__)
        return None
    if not await _spent(request, challenge) or len(found.credential_id) > CREDENTIAL_BYTES_MAX:
        return None
    return found.credential_id, found.credential_public_key, found.sign_count


async def _challenge(request: web.Request, purpose: str) -> bytes:
    return await request.app[CHALLENGES].new(purpose, access.secret_of(request), access.now_of(request))


async def _fresh(request: web.Request, answer: dict[str, Any], purpose: str) -> bytes | None:
    """The challenge that the browser says it answered, if we gave it to this browser for this, a moment ago."""
    try:
        said = json.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
        challenge = base64url_to_bytes(said["challenge"])
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return None
    binding, now = access.secret_of(request), access.now_of(request)
    is_fresh = await request.app[CHALLENGES].is_fresh(challenge, purpose, binding, now)
    return challenge if is_fresh else None


async def _spent(request: web.Request, challenge: bytes) -> bool:
    return await request.app[CHALLENGES].spend(challenge, access.now_of(request))


async def _answer(request: web.Request) -> dict[str, Any]:
    """What the browser said, as its JSON. Raises Problem bad_field."""
    text = await forms.text(request, "answer", ANSWER_CHARS_MAX, 1)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise forms.wrong("answer", "must be what the browser gave; this form needs JavaScript")
    return found


def _credential(answer: dict[str, Any]) -> bytes:
    try:
        return base64url_to_bytes(answer["rawId"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return b""
