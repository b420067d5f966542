"""Search: devices and owners by their id or the beginning of it, batches and epochs by number, owner messages."""

import re
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from coordinator.web import query
from coordinator.web.keys import OWNERS, READER

QUERY_CHARS_MAX = 80
PREFIX_HEX_MIN, PREFIX_HEX_MAX = 6, 31
SEVERAL_MAX = 5
_HEX = re.compile("[0-9a-f]+")
_NUMBERED = re.compile(r"(batch|epoch)\s*#?\s*([0-9]{1,18})")

routes = web.RouteTableDef()


class Found(NamedTuple):
    """Addresses of what was meant; `missing` says why there is none."""

    addresses: list[str]
    missing: str = ""


@routes.get("/search")
async def search(request: web.Request) -> web.Response:
    """Go to what was meant, or back to the network page, which says what was found instead."""
    wanted = query.text(request, "q", QUERY_CHARS_MAX)
    found = await look_up(request, wanted)
    raise web.HTTPSeeOther(found.addresses[0] if len(found.addresses) == 1 else "/?" + urlencode({"q": wanted}))


async def look_up(request: web.Request, wanted: str) -> Found:
    if numbered := _NUMBERED.fullmatch(wanted.strip().lower()):
        return await _numbered(request, numbered[1], int(numbered[2]))
    text = "".join(wanted.split()).lower()
    if not _HEX.fullmatch(text):
        return Found([], _FORMS)
    if len(text) == 64:
        return await _message(request, text)
    if query.is_id(text) or PREFIX_HEX_MIN <= len(text) <= PREFIX_HEX_MAX:
        return await _identity(request, text)
    return Found([], _FORMS)


async def _numbered(request: web.Request, what: str, number: int) -> Found:
    reader = request.app[READER]
    known = await (reader.batch(number) if what == "batch" else reader.epoch(number))
    if known is None:
        return Found([], f"There is no {what} {number} yet.")
    return Found([f"/batches/{number}" if what == "batch" else f"/epochs/{number}"])


async def _identity(request: web.Request, text: str) -> Found:
    """Devices and owners whose id begins so."""
    reader = request.app[READER]
    first, last = (bytes.fromhex(text.ljust(query.ID_HEX_CHARS, fill)) for fill in "0f")
    devices = await reader.device_ids(first, last, SEVERAL_MAX)
    owners = await reader.owner_ids(first, last, SEVERAL_MAX)
    if not devices and not owners and query.is_id(text) and await reader.owner(first) is not None:
        owners = [first]  # an account that has no device
    found = [f"/devices/{one.hex()}" for one in devices] + [f"/owners/{one.hex()}" for one in owners]
    if not found:
        return Found([], "No device and no owner of this network has that id.")
    return Found(found[:SEVERAL_MAX], f"Several ids begin with {text}:" if len(found) > 1 else "")


async def _message(request: web.Request, text: str) -> Found:
    if OWNERS in request.app and await request.app[OWNERS].message(bytes.fromhex(text)) is not None:
        return Found([f"/api/v1/owner/{text}"])
    return Found([], "No owner message has that id. A statement is found on the page of its device, in its epoch.")


_FORMS = (
    f"That is not an id. A device or an owner is found by its id of {query.ID_HEX_CHARS} digits 0-9, a-f, or its first"
    f" {PREFIX_HEX_MIN} or more; others by their number: batch 12, epoch 3."
)
