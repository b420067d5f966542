"""Forms that change something come from our own pages: a field that only those can hold, and where the browser says
that it is.

The field follows from the secret in a cookie: that of the session, or of the visit before there is one. It is masked
anew for every page, so that compressing a page tells nothing about it. Requests with an API token have no cookie that a
browser would add by itself, and need no field.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

from aiohttp import web
from markupsafe import Markup

from coordinator.web.hosts import Place, origins
from coordinator.web.problems import Problem

FIELD = "csrf"
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
# A page elsewhere can make a browser send these without asking us first (Fetch standard, CORS-safelisted types).
SIMPLE_TYPES = (*FORM_TYPES, "text/plain", "application/octet-stream")
DIGEST_BYTES = 32


def field(token: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token)


def token_of(secret: str) -> str:
    digest, mask = _digest(secret), secrets.token_bytes(DIGEST_BYTES)
    return base64.urlsafe_b64encode(mask + _xor(digest, mask)).decode()


def holds(token: str, secret: str) -> bool:
    try:
        data = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    mask, masked = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    return len(masked) == DIGEST_BYTES and hmac.compare_digest(_xor(masked, mask), _digest(secret))


def check_origin(request: web.BaseRequest, place: Place) -> None:
    """Raises Problem wrong_origin where the browser says that another site asks."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    elsewhere = site not in ("same-origin", "none") if site is not None else False
    if (origin is not None and origin.lower() not in origins(request, place)) or elsewhere:
        raise Problem(403, "wrong_origin", "This was not sent from a page of this server.")


async def check_field(request: web.Request, secret: str) -> None:
    """Raises Problem bad_csrf."""
    found = (await request.post()).get(FIELD)
    if not isinstance(found, str) or not secret or not holds(found, secret):
        detail = "The form was not made for you, or is too old. Go back, reload the page, and try again."
        raise Problem(403, "bad_csrf", detail)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(b"edgetally csrf " + secret.encode()).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
