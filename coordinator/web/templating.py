"""Templates: autoescaped, strict about what is undefined, with the few filters that write numbers and ids."""

from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from coordinator.kernel.amounts import tokens
from coordinator.web import assets, words

FOLDER = Path(__file__).parent / "templates"
DECIMALS_BRIGHT = 3


def amount(value: int) -> Markup:
    """Tokens in full, the small decimals quiet; the base units are in `value` for whoever copies or checks them."""
    if value == 0:
        return Markup('<data class="amount zero" value="0">0</data>')
    text = tokens(value)
    cut = text.index(".") + 1 + DECIMALS_BRIGHT
    return Markup('<data class="amount" value="{}">{}<small>{}</small></data>').format(value, text[:cut], text[cut:])


def number(value: int) -> Markup:
    return Markup('<data class="number" value="{}">{:,}</data>').format(value, value)


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
        amount=amount,
        number=number,
        short=short,
        hex=bytes.hex,
        refusal=words.refusal,
        standing=words.standing,
        duration=words.duration,
        moment=words.moment,
        percent=words.percent,
        weight=words.weight,
        took=words.took,
    )
    environment.globals["asset"] = assets.url
    return environment


ENVIRONMENT = _environment()


def render(request: web.BaseRequest, template: str, status: int = 200, **values: Any) -> web.Response:
    """A page. Compressed where the browser takes it: nothing on these pages is secret."""
    text = ENVIRONMENT.get_template(template).render(**values)
    response = web.Response(status=status, text=text, content_type="text/html", headers={"Vary": "Accept"})
    response.enable_compression()
    return response
