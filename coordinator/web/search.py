"""Search: what a text may mean. Ids of devices and owners or their beginning, batches and epochs by number, headers,
statements and owner messages by their hash.

`/search` goes to what was meant, or back to the network page, which says what was found instead; the API tells all.
"""

import re
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from coordinator.web import query
from coordinator.web.api import PREFIX
from coordinator.web.keys import OWNERS, READER
from coordinator.web.openapi import TEXT, Field, component, operation, record, rows
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json

QUERY_CHARS_MAX = 80
PREFIX_HEX_MIN, PREFIX_HEX_MAX = 6, 31
SEVERAL_MAX = 5
_HEX = re.compile("[0-9a-f]+")
_NUMBERED = re.compile(r"(batch|epoch)?\s*#?\s*([0-9]{1,18})")

routes = web.RouteTableDef()


class Hit(NamedTuple):
    """One thing that was meant: its page, and what the API tells about it."""

    kind: str  # device | owner | batch | epoch | statement | message
    id: str
    page: str
    api: str


class Found(NamedTuple):
    """What was meant; `missing` says why there is none, or that there are several."""

    hits: list[Hit]
    missing: str = ""

    @property
    def addresses(self) -> list[str]:
        return [hit.page for hit in self.hits]


HIT = component(
    "Hit",
    record(kind={"enum": ["device", "owner", "batch", "epoch", "statement", "message"]}, id=TEXT, page=TEXT, api=TEXT),
)


@routes.get("/search")
async def search(request: web.Request) -> web.Response:
    wanted = query.text(request, "q", QUERY_CHARS_MAX)
    found = await look_up(request, wanted)
    raise web.HTTPSeeOther(found.addresses[0] if len(found.hits) == 1 else "/?" + urlencode({"q": wanted}))


@routes.get(PREFIX + "/search")
@operation(
    "What a text may mean: an id or its beginning, a number, a hash",
    record(query=TEXT, hits=rows(HIT), missing=TEXT),
    query=(Field("q", {"type": "string", "maxLength": QUERY_CHARS_MAX, "pattern": "^[ -~]*$"}, "what to look for"),),
    refuses={400: ("bad_query",)},
)
async def search_json(request: web.Request) -> web.Response:
    wanted = query.text(request, "q", QUERY_CHARS_MAX)
    if not wanted.isascii():
        raise Problem(400, "bad_query", "q must be ASCII: nothing here has another name.", extra={"field": "q"})
    found = await look_up(request, wanted)
    answer: Json = {"query": wanted, "hits": [hit._asdict() for hit in found.hits], "missing": found.missing}
    return web.json_response(answer)


async def look_up(request: web.Request, wanted: str) -> Found:
    text = "".join(wanted.split()).lower()
    numbered = _NUMBERED.fullmatch(wanted.strip().lower())
    if numbered and (numbered[1] or len(text) < PREFIX_HEX_MIN):
        return await _numbered(request, numbered[1], int(numbered[2]))
    if not _HEX.fullmatch(text):
        return Found([], _FORMS)
    if len(text) == 64:
        return await _hashed(request, text)
    if query.is_id(text) or PREFIX_HEX_MIN <= len(text) <= PREFIX_HEX_MAX:
        return await _identity(request, text)
    return Found([], _FORMS)


async def _numbered(request: web.Request, what: str | None, number: int) -> Found:
    """A batch or an epoch; both where it is not said which."""
    reader, hits = request.app[READER], []
    if what != "epoch" and await reader.batch(number) is not None:
        hits.append(Hit("batch", str(number), f"/batches/{number}", f"/archive/batches/{number}"))
    if what != "batch" and await reader.epoch(number) is not None:
        hits.append(Hit("epoch", str(number), f"/epochs/{number}", f"{PREFIX}/epochs/{number}"))
    if not hits:
        return Found([], f"There is no {what or 'batch and no epoch'} {number} yet.")
    return Found(hits, f"There are a batch and an epoch {number}:" if len(hits) > 1 else "")


async def _identity(request: web.Request, text: str) -> Found:
    """Devices and owners whose id begins so."""
    reader = request.app[READER]
    first, last = (bytes.fromhex(text.ljust(query.ID_HEX_CHARS, fill)) for fill in "0f")
    devices = await reader.device_ids(first, last, SEVERAL_MAX)
    owners = await reader.owner_ids(first, last, SEVERAL_MAX)
    if not devices and not owners and query.is_id(text) and await reader.owner(first) is not None:
        owners = [first]  # an account that has no device
    hits = [_identified("device", one) for one in devices] + [_identified("owner", one) for one in owners]
    if not hits:
        return Found([], "No device and no owner of this network has that id.")
    return Found(hits[:SEVERAL_MAX], f"Several ids begin with {text}:" if len(hits) > 1 else "")


def _identified(kind: str, found: bytes) -> Hit:
    return Hit(kind, found.hex(), f"/{kind}s/{found.hex()}", f"{PREFIX}/{kind}s/{found.hex()}")


async def _hashed(request: web.Request, text: str) -> Found:
    """A header, a statement or an owner message."""
    reader, wanted = request.app[READER], bytes.fromhex(text)
    batch = await reader.header_batch(wanted)
    if batch is not None:
        return Found([Hit("batch", str(batch), f"/batches/{batch}", f"/archive/batches/{batch}")])
    said = await reader.statement_place(wanted)
    if said is not None:
        device, behind = said.device.hex(), f"boot={said.boot}&seq={said.seq - 1}"
        page = f"/devices/{device}/stubs/{said.epoch}/statements?{behind}"
        return Found([Hit("statement", text, page, f"{PREFIX}/devices/{device}/statements?epoch={said.epoch}")])
    if OWNERS in request.app and await request.app[OWNERS].message(wanted) is not None:
        return Found([Hit("message", text, f"{PREFIX}/owner/{text}", f"{PREFIX}/owner/{text}")])
    return Found([], _NO_HASH)


_NO_HASH = (
    "No owner message has that id, and none of the newest headers and statements. An older statement is found on the"
    " page of its device, in its epoch."
)
_FORMS = (
    f"That is not an id. A device or an owner is found by its id of {query.ID_HEX_CHARS} digits 0-9, a-f, or its first"
    f" {PREFIX_HEX_MIN} or more; a header, a statement or a message by 64 digits; others by their number: batch 12,"
    " epoch 3."
)
