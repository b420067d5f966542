"""Values from paths and query strings: exact, bounded, refused by name."""

import re
from collections.abc import Iterable

from aiohttp import web

from coordinator.web.limits import NUMBER_MAX, ROWS_DEFAULT, ROWS_MAX
from coordinator.web.problems import Problem

ID_HEX_CHARS = 32
_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")
_DIGITS_MAX = len(str(NUMBER_MAX))


def is_id(text: str) -> bool:
    """Whether a text is an id of a device or account as this server writes it."""
    return _ID.fullmatch(text) is not None


def path_id(request: web.Request) -> bytes:
    """The id in the path. Raises Problem bad_id."""
    text = request.match_info["id"]
    if not is_id(text):
        raise Problem(400, "bad_id", f"An id is {ID_HEX_CHARS} lower-case hexadecimal digits.")
    return bytes.fromhex(text)


def path_hash(request: web.Request) -> bytes:
    """The hash in the path. Raises Problem bad_id."""
    text = request.match_info["id"]
    if _HASH.fullmatch(text) is None:
        raise Problem(400, "bad_id", "The id of a message is 64 lower-case hexadecimal digits.")
    return bytes.fromhex(text)


def path_number(request: web.Request, what: str = "An epoch") -> int:
    """The number in the path. Raises Problem bad_id."""
    number = _whole(request.match_info["n"])
    if number is None or number > NUMBER_MAX:
        raise Problem(400, "bad_id", f"{what} is a whole number from 0 to {NUMBER_MAX}.")
    return number


def number(request: web.Request, name: str, low: int = 0, high: int = NUMBER_MAX) -> int | None:
    """A whole number, None where the field is absent. Raises Problem bad_query."""
    text = _single(request, name)
    if text is None:
        return None
    value = _whole(text)
    if value is None or not low <= value <= high:
        raise Problem(400, "bad_query", f"{name} must be a whole number from {low} to {high}.", extra={"field": name})
    return value


def limit(request: web.Request) -> int:
    """How many rows are wanted."""
    wanted = number(request, "limit", 1, ROWS_MAX)
    return ROWS_DEFAULT if wanted is None else wanted


def id_field(request: web.Request, name: str) -> bytes:
    """An id, empty where the field is absent. Raises Problem bad_query."""
    value = _single(request, name)
    if value is None:
        return b""
    if not is_id(value):
        detail = f"{name} must be an id of {ID_HEX_CHARS} lower-case hexadecimal digits."
        raise Problem(400, "bad_query", detail, extra={"field": name})
    return bytes.fromhex(value)


def after_id(request: web.Request) -> bytes:
    """The id that a page of rows comes behind, empty for the first page."""
    return id_field(request, "after")


def choice(request: web.Request, name: str, known: Iterable[str]) -> str:
    """One of some words, empty where the field is absent. Raises Problem bad_query."""
    value, known = _single(request, name), list(known)
    if value is not None and value not in known:
        raise Problem(400, "bad_query", f"{name} must be one of {', '.join(known)}.", extra={"field": name})
    return value or ""


def text(request: web.Request, name: str, chars_max: int) -> str:
    """A free text, empty where the field is absent."""
    value = _single(request, name) or ""
    if len(value) > chars_max or not value.isprintable():
        detail = f"{name} must be at most {chars_max} printable characters."
        raise Problem(400, "bad_query", detail, extra={"field": name})
    return value


def _single(request: web.Request, name: str) -> str | None:
    values: list[str] = request.query.getall(name, [])
    if values == [""] and is_form(request):
        return None
    if len(values) > 1:
        detail = f"{name} must be given once, it came {len(values)} times."
        raise Problem(400, "bad_query", detail, extra={"field": name})
    return values[0] if values else None


def is_form(request: web.Request) -> bool:
    """Whether the query comes from a form on a page: a browser sends every field of it, filled in or not."""
    return "form" in request.query


def _whole(text: str) -> int | None:
    # isdigit alone takes digits of every script; the length keeps int() cheap.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX else None
