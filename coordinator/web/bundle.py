"""`GET /api/v1/devices/{id}/bundle`: a file that shows what a device was paid for an epoch, to be checked elsewhere.

It is made from the batch folders, which costs a hash tree for each batch in it: few at a time, the next one is told to
come again.
"""

from aiohttp import web

from coordinator.web import query
from coordinator.web.api import PREFIX, known_device, known_epoch
from coordinator.web.keys import LIMITS, READER
from coordinator.web.openapi import DEVICE_REFUSES, EPOCH, number, operation
from coordinator.web.problems import Problem

CONTENT_TYPE = "application/cbor"
MAKING_MAX = 4
MAKING: web.AppKey[list[int]] = web.AppKey("bundles_being_made", list)


@operation(
    "A file that shows what a device was paid for an epoch, to be checked elsewhere",
    answers={200: {CONTENT_TYPE: {"type": "string", "contentMediaType": CONTENT_TYPE}}},
    query=(EPOCH, number("slot", "with the batch that holds this slot")),
    refuses={**DEVICE_REFUSES, 404: ("unknown_device", "unknown_epoch", "not_provable")},
)
async def get(request: web.Request) -> web.Response:
    epoch = query.number(request, "epoch")
    if epoch is None:
        raise Problem(400, "bad_query", "epoch must be given.", extra={"field": "epoch"})
    device = (await known_device(request)).device
    data = await read(request, device, epoch)
    name = f"{device.hex()}-{epoch}.bundle"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=data, content_type=CONTENT_TYPE, headers=headers)


async def read(request: web.Request, device: bytes, epoch: int) -> bytes:
    """The bundle of a known device. Raises Problem unknown_epoch, not_provable or overloaded."""
    slot = query.number(request, "slot")
    await known_epoch(request, epoch)
    making = request.app[MAKING]
    if making[0] >= MAKING_MAX:
        retry = {"Retry-After": str(request.app[LIMITS].retry_after_s)}
        raise Problem(503, "overloaded", "Other bundles are being made. Try again.", headers=retry)
    making[0] += 1
    try:
        data = await request.app[READER].bundle(device, epoch, slot)
    finally:
        making[0] -= 1
    if data is None:
        told = "There is no checkpoint yet, or the device said nothing in this slot, or its batches were archived."
        raise Problem(404, "not_provable", told)
    return data


def add_routes(app: web.Application) -> None:
    app[MAKING] = [0]
    app.router.add_get(PREFIX + "/devices/{id}/bundle", get)
