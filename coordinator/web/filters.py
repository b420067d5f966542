"""What lists can be asked for. A field or a value that is not there is refused, with those that are."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from coordinator.kernel.filters import STANDINGS, DeviceFilter
from coordinator.kernel.postings import CODES
from coordinator.web import openapi, query
from coordinator.web.openapi import ID, Field, number
from coordinator.web.problems import Problem
from device_client.core import verdicts

NAME_CHARS_MAX = 64
STANDING = Field("standing", {"enum": list(STANDINGS)}, "devices of this standing")
OWNER = Field("owner", ID, "of this owner only")
MEASURES = Field(
    "measures",
    {"type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": "^[ -~]+$"},
    "devices with a channel of this name",
)
SILENT_SINCE = number("silent_since", "devices of which nothing was accepted in this slot or later")
DEVICES = (STANDING, OWNER, MEASURES, SILENT_SINCE)
FROM, TO = number("from", "the first epoch"), number("to", "the last epoch")
CODE = Field("code", {"enum": list(CODES.values())}, "postings of this code")
VERDICTS = {name: code for code, name in verdicts.NAMES.items() if 0 <= code < 256}
VERDICT = Field("verdict", {"enum": list(VERDICTS)}, "statements with this verdict")


@web.middleware
async def known_fields(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A route of the API takes the fields that are declared beside it and no others."""
    declared = openapi.declared(request.match_info.handler)
    if declared is not None and request.query:
        only(request, [field.name for field in declared.query])
    return await handler(request)


def only(request: web.Request, names: Iterable[str]) -> None:
    """Raises Problem bad_query."""
    names = list(names)
    for name in request.query:
        if name not in names:
            told = f"this address takes {', '.join(names)}" if names else "this address takes no fields"
            shown = name if len(name) <= NAME_CHARS_MAX and name.isprintable() else "A field of the query"
            raise Problem(400, "bad_query", f"{shown} is not known here: {told}.", extra={"field": shown})


def devices(request: web.Request) -> DeviceFilter:
    """Raises Problem bad_query."""
    return DeviceFilter(
        query.choice(request, "standing", STANDINGS),
        query.id_field(request, "owner"),
        query.text(request, "measures", NAME_CHARS_MAX),
        query.number(request, "silent_since"),
    )


def epochs(request: web.Request) -> tuple[int | None, int | None]:
    """The first and the last epoch that are wanted. Raises Problem bad_query."""
    first, last = query.number(request, "from"), query.number(request, "to")
    if first is not None and last is not None and first > last:
        raise Problem(400, "bad_query", "from must not be greater than to.", extra={"field": "from"})
    return first, last


def code(request: web.Request) -> int | None:
    """A code of postings. Raises Problem bad_query."""
    name = query.choice(request, "code", CODES.values())
    return next((code for code, known in CODES.items() if known == name), None)


def verdict(request: web.Request) -> int | None:
    """Raises Problem bad_query."""
    name = query.choice(request, "verdict", VERDICTS)
    return VERDICTS[name] if name else None
