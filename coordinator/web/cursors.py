"""`cursor`: where the next page of a list begins. One shape for all lists: text that nobody builds or reads.

base64url(first bytes of SHA-256(what was asked || place) || place), where the place is deterministic CBOR of integers
and byte strings. What was asked is the path and all filters, so the cursor of another list, or one that was changed, is
refused. It is no secret and needs none: what a cursor leads to is what everybody may read there.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web

from coordinator.web import query
from coordinator.web.limits import NUMBER_MAX
from coordinator.web.problems import Problem
from coordinator.web.shapes import Json, Page
from device_client.core import cbor

CHECK_BYTES = 6
CHARS_MAX = 120
NOT_FILTERS = ("cursor", "limit", "live", "form")
Place = int | bytes
Row = TypeVar("Row")


def made(request: web.Request, *place: Place) -> str:
    """The cursor that stands behind a place of the list that is asked for."""
    return written(request.rel_url.raw_path, urlencode(_asked(request)), *place)


def written(path: str, asked: str, *place: Place) -> str:
    """The cursor behind a place of the list at a path, `asked` for with these filters."""
    data = cbor.encode(list(place))
    return base64.urlsafe_b64encode(_check(path, asked, data) + data).decode().rstrip("=")


def place(request: web.Request, *kinds: type) -> tuple[Any, ...] | None:
    """The place behind which rows are wanted, values of these types; None for the first page. Raises Problem
    bad_query."""
    text = query.text(request, "cursor", CHARS_MAX)
    if "cursor" not in request.query:
        return None
    found = _opened(request, text)
    if found is None or len(found) != len(kinds):
        raise _forged()
    for value, kind in zip(found, kinds, strict=True):
        if type(value) is not kind or (isinstance(value, int) and not 0 <= value <= NUMBER_MAX):
            raise _forged()
    return tuple(found)


def page(
    request: web.Request,
    found: Sequence[Row],
    limit: int,
    shape: Callable[[Row], Json],
    at: Callable[[Row], Sequence[Place]],
) -> Page:
    """The first `limit` of rows that were asked for with one more, and the address of those behind them."""
    shown = found[:limit]
    following = address(request, limit, *at(shown[-1])) if len(found) > limit else None
    return Page([shape(one) for one in shown], following)


def address(request: web.Request, limit: int | None, *place: Place) -> str:
    """This path and its filters, behind a place; on a page, whose rows are so many, without a limit."""
    fields = dict(_asked(request)) | ({} if limit is None else {"limit": str(limit)})
    return f"{request.rel_url.raw_path}?{urlencode(fields | {'cursor': made(request, *place)})}"


def _opened(request: web.Request, text: str) -> list[Any] | None:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        check = _check(request.rel_url.raw_path, urlencode(_asked(request)), data[CHECK_BYTES:])
        if base64.urlsafe_b64encode(data).decode().rstrip("=") != text or data[:CHECK_BYTES] != check:
            return None
        found = cbor.decode(data[CHECK_BYTES:])
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, list) else None


def _check(path: str, asked: str, data: bytes) -> bytes:
    return hashlib.sha256(f"{path}?{asked}\n".encode() + data).digest()[:CHECK_BYTES]


def _asked(request: web.Request) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in request.query.items() if name not in NOT_FILTERS and value)


def _forged() -> Problem:
    detail = "cursor is not one of this list with these filters: follow `next`, and begin anew with other filters."
    return Problem(400, "bad_query", detail, extra={"field": "cursor"})
