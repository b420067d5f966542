"""What an operator does on a page: told in words, confirmed, done once, and followed until a batch has it.

form -> looked at -> "this will happen" -> confirmed -> message -> back to the page, which says what became of it
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from coordinator.kernel.actions import BadAction
from coordinator.kernel.amounts import base_units
from coordinator.kernel.views import OwnerMessageView
from coordinator.web import forms, operator, query, words
from coordinator.web.keys import HAND, OWNERS
from coordinator.web.problems import Problem
from coordinator.web.templating import render

SURE = "sure"
WAITING = "waiting"
HASH_CHARS = 64
TEXT_CHARS_MAX = 800  # of a body of 4 KiB
AMOUNT_CHARS_MAX = 24
Act = Callable[[bool], Awaitable[bytes]]
Again = Callable[["Mistake"], Awaitable[web.Response]]


class Mistake(NamedTuple):
    """What was wrong in which field of a form, and all that was sent."""

    field: str
    what: str
    sent: Mapping[str, str]


class Wanted(NamedTuple):
    """`act(look_only)` does it, `sentences` tell what will happen, `back` is where to go on."""

    title: str
    sentences: list[str]
    act: Act
    back: str


async def done(request: web.Request, wanted: Callable[[], Awaitable[Wanted]], again: Again) -> web.Response:
    """Answer to a form: `again` shows it with what is wrong, beside the field."""
    try:
        asked = await wanted()
        is_sure = await forms.text(request, SURE, 3) == "yes"
        message = await asked.act(not is_sure)
    except BadAction as error:
        return await again(Mistake(error.field, error.what, await sent(request)))
    except Problem as problem:
        field = problem.extra.get("field")
        if problem.code != "bad_field" or not isinstance(field, str):
            raise
        what = problem.detail.removeprefix(f"{field} ").removesuffix(".")
        return await again(Mistake(field, what, await sent(request)))
    if is_sure:
        raise web.HTTPSeeOther(f"{asked.back}?message={message.hex()}")
    return render(
        request, "operator_confirm.html", **await operator.frame(request), asked=asked, fields=await sent(request)
    )


async def sent(request: web.Request) -> dict[str, str]:
    """Fields as they came, for the same form again."""
    return {
        name: value
        for name, value in (await request.post()).items()
        if isinstance(value, str) and name not in ("csrf", SURE)
    }


async def amount(request: web.Request, name: str) -> int:
    """Base units of a decimal text. Raises Problem bad_field."""
    try:
        return base_units(await forms.text(request, name, AMOUNT_CHARS_MAX))
    except ValueError as error:
        raise forms.wrong(name, str(error)) from None


async def followed(request: web.Request) -> dict[str, Any]:
    """What became of the message that the address names, for the page: `said` is None where it names none."""
    text = query.text(request, "message", HASH_CHARS)
    try:
        message = bytes.fromhex(text) if len(text) == HASH_CHARS else b""
    except ValueError:
        message = b""
    waits = bool(message) and await request.app[HAND].waits(message)  # asked first: its batch may come meanwhile
    view = await request.app[OWNERS].message(message) if message else None
    if view is None:
        return {"said": OwnerMessageView(message, WAITING, "", -1, b"", 0, "") if waits else None, "said_why": ""}
    return {"said": view, "said_why": "" if view.verdict in ("", "ok") else words.refusal(view.verdict)}
