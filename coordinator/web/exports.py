"""`/api/v1/devices/{id}/readings.csv|.json|.senml`: a device's readings as a file, of some epochs or all.

It is streamed page by page: a page is read when the one before is on its way, so an export takes no memory that grows,
and a reader that takes nothing for a while is let go. Private readings are for their owner alone.
"""

import asyncio

from aiohttp import web

from coordinator.engine.exports import FORMATS, Format
from coordinator.kernel.access import OWNER, READ_PRIVATE
from coordinator.kernel.views import DeviceView, TimedReadingView
from coordinator.web import access, query
from coordinator.web.api import PREFIX, known_device
from coordinator.web.keys import DEADLINE, LIMITS, READER
from coordinator.web.openapi import DEVICE_REFUSES, TEXT, number, operation
from coordinator.web.problems import Problem

PAGE_ROWS = 500
RUNNING_MAX = 8
EXPORTED = {200: {one.content_type: TEXT if one.content_type == "text/csv" else {} for one in FORMATS.values()}}
RUNNING: web.AppKey[list[int]] = web.AppKey("exports_running", list)

routes = web.RouteTableDef()


@routes.get(PREFIX + "/devices/{id}/readings.{format}")
@operation(
    "Readings of a device as a file",
    answers=EXPORTED,
    query=(number("from", "the first epoch"), number("to", "the last epoch")),
    refuses={**DEVICE_REFUSES, 403: ("readings_private",), 404: ("unknown_device", "no_readings")},
)
async def export(request: web.Request) -> web.StreamResponse:
    chosen = FORMATS.get(request.match_info["format"])
    if chosen is None:
        raise Problem(404, "not_found", f"Readings come as {', '.join(FORMATS)}.")
    slots = await _slots(request)
    device = await known_device(request)
    demand_readings(request, device)
    running = request.app[RUNNING]
    if running[0] >= RUNNING_MAX:
        retry = {"Retry-After": str(request.app[LIMITS].retry_after_s)}
        raise Problem(503, "overloaded", "Other exports are running. Try again.", headers=retry)
    running[0] += 1
    try:
        return await _streamed(request, device, slots, chosen(device.device, device.channels))
    finally:
        running[0] -= 1


def demand_readings(request: web.Request, device: DeviceView) -> None:
    """Public readings are everybody's, private ones their owner's. Raises Problem readings_private."""
    who = access.visitor(request)
    is_owner = who.role == OWNER and who.account == device.owner and READ_PRIVATE in who.scopes
    if not device.readings_public and not is_owner:
        raise Problem(403, "readings_private", "The readings of this device are private: sign in as its owner.")


async def _slots(request: web.Request) -> range:
    """The slots of the epochs `from` to `to`."""
    first, last = query.number(request, "from"), query.number(request, "to")
    if first is not None and last is not None and first > last:
        raise Problem(400, "bad_query", "from must not be greater than to.", extra={"field": "from"})
    network = await request.app[READER].network()
    newest = min(network.epoch, network.epoch if last is None else last)
    return range((first or 0) * network.epoch_beacons, (newest + 1) * network.epoch_beacons)


async def _streamed(request: web.Request, device: DeviceView, slots: range, made: Format) -> web.StreamResponse:
    page = await _page(request, device, slots, (-1, -1))
    text = made.rows(page)
    while not text and len(page) == PAGE_ROWS:  # sets in which every value is missing
        page = await _page(request, device, slots, (page[-1].slot, page[-1].place))
        text = made.rows(page)
    if not text and made.is_never_empty:
        raise Problem(404, "no_readings", "There are no readings in these epochs, and a SenML pack is never empty.")
    extension = request.match_info["format"]
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{made.content_type}; charset=utf-8" if extension == "csv" else made.content_type,
            "Content-Disposition": f'attachment; filename="{device.device.hex()}.{extension}"',
        }
    )
    await response.prepare(request)
    try:
        await response.write((made.head() + text).encode())
        while len(page) == PAGE_ROWS:
            page = await _page(request, device, slots, (page[-1].slot, page[-1].place))
            # Each page has the time of a request of its own: a slow reader may be slow, not idle.
            request[DEADLINE].reschedule(asyncio.get_running_loop().time() + request.app[LIMITS].request_timeout_s)
            await response.write(made.rows(page).encode())
        await response.write(made.tail().encode())
        await response.write_eof()
    except BaseException:
        if request.transport is not None:
            request.transport.abort()  # a file that was cut must not look whole
        raise
    return response


async def _page(
    request: web.Request, device: DeviceView, slots: range, after: tuple[int, int]
) -> list[TimedReadingView]:
    return await request.app[READER].all_readings(device.device, slots, after, PAGE_ROWS)
