"""`/operator/tokens`: enrolment tokens, issued and shown. A token is as secret here as in its file."""

import base64
import re

from aiohttp import web

from coordinator.web import access, forms, hosts, operator, query
from coordinator.web.keys import BROKER, ENROLMENT, OPERATOR_LOG, PLACE
from coordinator.web.problems import Problem
from coordinator.web.templating import render

DEVICES_MAX = 1_000_000
LAST_EPOCH_MAX = 2**53
REASON_CHARS_MAX = 200
HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
LOOPBACK = ("", "127.0.0.1", "localhost", "::1", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to

routes = web.RouteTableDef()


@routes.get("/operator/tokens")
async def page(request: web.Request) -> web.Response:
    access.demand(request, "reader")
    issued = await request.app[ENROLMENT].issued()
    return render(request, "operator_tokens.html", **await operator.frame(request), tokens=issued)


@routes.post("/operator/tokens")
async def issue(request: web.Request) -> web.Response:
    visitor = access.demand(request, "operator")
    owner_key = await forms.binary(request, "owner", 32, 32)
    devices = await forms.number(request, "devices", 1, DEVICES_MAX)
    last_epoch = await forms.number(request, "last_epoch", 0, LAST_EPOCH_MAX)
    reason = await forms.text(request, "reason", REASON_CHARS_MAX)
    try:
        token = await request.app[ENROLMENT].issue(owner_key, devices, last_epoch)
    except ValueError as error:
        raise forms.wrong("owner", str(error)) from None
    said = f"{devices} devices up to epoch {last_epoch} for the owner of key {owner_key.hex()}"
    await request.app[OPERATOR_LOG].add(visitor, "token_issued", token.hex(), reason, said)
    raise web.HTTPSeeOther(f"/operator/tokens/{token.hex()}")


@routes.get("/operator/tokens/{id}")
async def shown(request: web.Request) -> web.Response:
    """The secret itself, as text and QR code: for who may write, and each time a row of the log."""
    visitor = access.demand(request, "operator", "operator:write")
    token, host = query.path_hash(request), query.text(request, "host", 253) or _host(request)
    if HOST.fullmatch(host) is None:
        raise Problem(400, "bad_query", "host must be a name or an address.", extra={"field": "host"})
    try:
        found = await request.app[ENROLMENT].provisioning(token, host)
    except ValueError as error:
        raise Problem(409, "too_large_for_qr", f"No QR code holds this: {error}.") from None
    if found is None:
        raise Problem(404, "not_found", "No such token was issued here.")
    await request.app[OPERATOR_LOG].add(visitor, "token_shown", token.hex())
    text, svg = found
    code = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return render(
        request, "operator_token.html", **await operator.frame(request), token=token, text=text, code=code, host=host
    )


def _host(request: web.Request) -> str:
    """Where devices reach the broker, as far as we know: it is where the page is, unless it is told otherwise."""
    broker = request.app[BROKER].host
    if broker not in LOOPBACK:
        return broker
    public = hosts.name_of(request.app[PLACE].public_url.partition("//")[2])
    return public.strip("[]") or hosts.name_of(request.headers.get("Host", "")).strip("[]")
