"""`/verify`: nine steps from a device's signature to the network's hash, checked by the browser of whoever asks.

    GET /verify?device=...&epoch=...   the page; without JavaScript it tells the steps and a command that does the same
    GET /verify/offline.html?...       page, script, style and bundle as one file that speaks to nobody

The offline file is opened from a disk, where no header of ours protects it: it brings its policy along, with the hash
of the one script and the one style sheet that may run.
"""

import base64
import hashlib
import re
from functools import cache
from typing import Any

from aiohttp import web

from coordinator.web import assets, bundle, pages, query
from coordinator.web.keys import READER
from coordinator.web.problems import Problem
from coordinator.web.templating import ENVIRONMENT, render
from coordinator.web.verify_words import STEPS

SCRIPTS = ("cbor.js", "ed25519.js", "wire.js", "said.js", "bundle.js", "verify.js")  # each before who imports it
SHEETS = ("style.css", "verify.css")
ID_CHARS_MAX = 32
_MODULE_LINES = re.compile(r'^(?:import .* from|export \* from) ".*";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)

routes = web.RouteTableDef()


@routes.get("/verify")
async def page(request: web.Request) -> web.Response:
    network = await request.app[READER].network()
    subject = await chosen(request)
    frame = {**pages.frame(request, network), "refresh_s": 0}
    origin = f"{request.scheme}://{request.host}"
    return render(request, "verify.html", **frame, steps=STEPS, chosen=subject, origin=origin)


@routes.get("/verify/offline.html")
async def offline(request: web.Request) -> web.Response:
    """A download: here, under the policy of these pages, its script would not run."""
    subject = await chosen(request)
    data = await bundle.read(request, bytes.fromhex(subject["device"]), subject["epoch"]) if subject else b""
    name = f"verify-{subject['device'][:8]}-{subject['epoch']}.html" if subject else "verify.html"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    response = web.Response(text=offline_text(data), content_type="text/html", headers=headers)
    response.enable_compression()
    return response


async def chosen(request: web.Request) -> dict[str, Any]:
    """Device (hex), epoch and slot (None if not given) of a known device, or nothing. Raises Problem."""
    device, epoch = query.text(request, "device", ID_CHARS_MAX), query.number(request, "epoch")
    slot = query.number(request, "slot")
    if not device and epoch is None:
        return {}
    if not query.is_id(device):
        told = f"device must be an id of {query.ID_HEX_CHARS} lower-case hexadecimal digits."
        raise Problem(400, "bad_query", told, extra={"field": "device"})
    if epoch is None:
        raise Problem(400, "bad_query", "epoch must be given.", extra={"field": "epoch"})
    if await request.app[READER].device(bytes.fromhex(device)) is None:
        raise Problem(404, "unknown_device", "No device with this id is enrolled here.")
    where = f"epoch={epoch}" + ("" if slot is None else f"&slot={slot}")
    return {"device": device, "epoch": epoch, "slot": slot, "where": where}


def offline_text(data: bytes) -> str:
    """The page as one file, with a bundle in it or none."""
    script, sheet = _inlined()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(sheet)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    held = base64.b64encode(data).decode()
    return ENVIRONMENT.get_template("verify_offline.html").render(
        policy=policy, script=script, sheet=sheet, steps=STEPS, held=held, chosen={}
    )


@cache
def _inlined() -> tuple[str, str]:
    """All scripts as one module, and all sheets. What the scripts name at their top is unique; a browser checks it."""
    parts = [assets.ASSETS[name].body.decode() for name in SCRIPTS]
    script = "".join(_EXPORT.sub("", _MODULE_LINES.sub("", part)) for part in parts)
    sheet = "".join(assets.ASSETS[name].body.decode() for name in SHEETS)
    assert "</" not in script and "</" not in sheet, "it would end its element"
    return script, sheet


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
