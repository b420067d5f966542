"""Fields of a form that was sent: text, given once, bounded, refused by name."""

from aiohttp import web

from coordinator.web.problems import Problem


async def text(request: web.Request, name: str, chars_max: int, chars_min: int = 0) -> str:
    """Printable, on one line, without space around it; empty where the field is absent. Raises Problem bad_field."""
    values = [value for value in (await request.post()).getall(name, []) if isinstance(value, str)]
    value = values[0].strip() if values else ""
    if len(values) > 1 or not chars_min <= len(value) <= chars_max or not value.isprintable():
        wanted = f"{chars_min} to {chars_max}" if chars_min else f"at most {chars_max}"
        raise wrong(name, f"must be {wanted} printable characters")
    return value


async def number(request: web.Request, name: str, low: int, high: int) -> int:
    """Raises Problem bad_field."""
    value = await text(request, name, 20)
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise wrong(name, f"must be a whole number from {low} to {high}")
    return int(value)


async def binary(request: web.Request, name: str, bytes_max: int, bytes_min: int = 1) -> bytes:
    """From hexadecimal digits. Raises Problem bad_field."""
    value = await text(request, name, 2 * bytes_max)
    try:
        found = bytes.fromhex(value)
    except ValueError:
        found = b""
    if not bytes_min <= len(found) <= bytes_max:
        raise wrong(name, "must be hexadecimal digits")
    return found


async def several(request: web.Request, name: str, known: frozenset[str]) -> frozenset[str]:
    """Those of a group of check boxes that are marked. Raises Problem bad_field."""
    values = {value for value in (await request.post()).getall(name, []) if isinstance(value, str)}
    if not values <= known:
        raise wrong(name, f"must be of {', '.join(sorted(known))}")
    return frozenset(values)


def wrong(name: str, what: str) -> Problem:
    return Problem(400, "bad_field", f"{name} {what}.", extra={"field": name})
