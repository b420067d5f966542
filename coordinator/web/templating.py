"""Templates: autoescaped, strict about what is undefined, with the few filters that write numbers and ids."""

from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coordinator.kernel.amounts import TOKEN, tokens
from coordinator.web import access, assets, words

FOLDER = Path(__file__).parent / "templates"
DECIMALS_BRIGHT = 3
WHOLE_FROM = 1000  # tokens from which an estimate has no decimals


def amount(value: int) -> Markup:
    """Tokens in full, the small decimals quiet; the base units are in `value` for whoever copies or checks them."""
    if value == 0:
        return Markup('<data class="amount zero" value="0">0</data>')
    text = tokens(value)
    cut = text.index(".") + 1 + DECIMALS_BRIGHT
    return _safe(f'<data class="amount" value="{value:d}">{text[:cut]}<small>{text[cut:]}</small></data>')


def about(value: int) -> Markup:
    """An estimate: tokens, no more digits than anybody should believe."""
    whole, part = divmod(value, TOKEN)
    text = f"{whole:,}" if whole >= WHOLE_FROM else f"{whole}.{part // (TOKEN // 1000):03d}"
    return _safe(f'<data class="estimate" value="{value:d}">≈ {text}</data>')


def number(value: int) -> Markup:
    return _safe(f'<data class="number" value="{value:d}">{value:,d}</data>')


def _safe(text: str) -> Markup:
    """What the three above wrote: `:d` takes whole numbers only. A page has hundreds, and to escape digits took a
    quarter of its time."""
    return Markup(text)  # noqa: S704


def short(identity: bytes) -> str:
    """An id for a table: enough to tell it from its neighbours."""
    text = identity.hex()
    return f"{text[:8]}…{text[-4:]}"


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        about=about,
        amount=amount,
        number=number,
        short=short,
        hex=bytes.hex,
        reason=words.reason,
        refusal=words.refusal,
        standing=words.standing,
        duration=words.duration,
        moment=words.moment,
        date=words.date,
        percent=words.percent,
        weight=words.weight,
        took=words.took,
    )
    environment.globals["asset"] = assets.url
    environment.globals["csrf_field"] = access.csrf_field
    return environment


ENVIRONMENT = _environment()


def render(request: web.BaseRequest, template: str, status: int = 200, **values: Any) -> web.Response:
    """A page. Compressed where the browser takes it: nothing on these pages is secret."""
    known = {"request": request, "visitor": access.visitor(request), "signing_in": access.is_on(request)}
    text = ENVIRONMENT.get_template(template).render(**known, **values)
    response = web.Response(status=status, text=text, content_type="text/html", headers={"Vary": "Accept"})
    response.enable_compression()
    return response
