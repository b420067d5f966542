"""An owner deletes a device's readings, through the end of a closed epoch; there is no way back.

DELETE  with an API token that may write        POST  the form on the device's page, confirmed
"""

from aiohttp import web

from coordinator.kernel.access import OWNER_WRITE
from coordinator.kernel.views import DeletedView
from coordinator.web import access, forms, query
from coordinator.web.api import PREFIX, known_device
from coordinator.web.keys import DELETIONS
from coordinator.web.limits import NUMBER_MAX
from coordinator.web.openapi import DEVICE_REFUSES, HEX, ID, INTEGER, number, operation, record
from coordinator.web.problems import Problem

routes = web.RouteTableDef()


@routes.delete(PREFIX + "/devices/{id}/readings")
@operation(
    "Delete a device's readings up to the end of a closed epoch",
    record(device=ID, through_epoch=INTEGER, last_slot=INTEGER, reports=INTEGER, request=HEX),
    query=(number("through_epoch", "the last epoch whose readings go", required=True),),
    refuses={**DEVICE_REFUSES, 401: ("login_required",), 403: ("not_allowed",), 409: ("not_deletable",)},
    who=OWNER_WRITE,
)
async def delete(request: web.Request) -> web.Response:
    through = query.number(request, "through_epoch")
    device = await known_device(request)
    access.demand_account(request, device.owner)
    if through is None:
        raise Problem(400, "bad_query", "through_epoch must be given.", extra={"field": "through_epoch"})
    done = await _deleted(request, device.device, through)
    answer = {"device": device.device.hex(), "through_epoch": through, "last_slot": done.last_slot}
    return web.json_response(answer | {"reports": done.reports, "request": done.request.hex()})


@routes.post("/devices/{id}/readings/delete")
async def delete_form(request: web.Request) -> web.Response:
    device = await known_device(request)
    access.demand_account(request, device.owner)
    through = await forms.number(request, "through_epoch", 0, NUMBER_MAX)
    if await forms.text(request, "sure", 3) != "yes":
        raise forms.wrong("sure", "must be marked: what is deleted is gone")
    await _deleted(request, device.device, through)
    raise web.HTTPSeeOther(f"/devices/{device.device.hex()}?deleted={through}#readings")


async def _deleted(request: web.Request, device: bytes, through: int) -> DeletedView:
    try:
        return await request.app[DELETIONS].delete(device, through)
    except ValueError as error:
        raise Problem(409, "not_deletable", str(error)) from None
