"""Readings in pages that never cut a slot: the cursor is a slot, so a cut one would lose its rest."""

from coordinator.kernel.views import DeviceView, NetworkView, ReadingView
from coordinator.web.limits import READINGS_MAX, ROWS_MAX
from coordinator.web.ports import Reader

REPORTS_SHOWN = 120


async def whole_slots(reader: Reader, device: bytes, after_slot: int, limit: int) -> tuple[list[ReadingView], bool]:
    """About `limit` readings behind a slot, oldest first, and whether more follow.

    More than `limit` only where one slot holds more; at most READINGS_MAX of one slot.
    """
    while True:
        found = await reader.readings(device, after_slot, limit + 1)
        if len(found) <= limit:
            return found, False
        cut = found[-1].slot
        whole = [each for each in found if each.slot != cut]
        if whole:
            return whole, True
        if limit >= READINGS_MAX:
            return found[:limit], True
        limit *= 2


async def newest(reader: Reader, device: DeviceView, network: NetworkView) -> list[ReadingView]:
    """The readings of about the last REPORTS_SHOWN reports, oldest first."""
    slots = max(1, REPORTS_SHOWN * device.interval_s // max(1, network.beacon_interval_s))
    while True:
        found = await reader.readings(device.device, max(-1, network.beacon - slots), ROWS_MAX)
        # The reader starts at the oldest: a full answer may lack the newest, so look back less far.
        if len(found) < ROWS_MAX or slots == 1:
            return found
        slots = max(1, slots // 2)
