"""When a device counts as silent: nothing of it was accepted for so many of its own report intervals."""

from coordinator.kernel.epochs import Calendar
from coordinator.kernel.views import DeviceView

SILENT_REPORTS = 3
ENDED = ("quarantined", "revoked")  # what they say counts no more, so nobody waits for it


def silent_beacons(device: DeviceView, beacon: int) -> int:
    """Beacons since the device was last heard; since it enrolled, where it never was."""
    return max(0, beacon - max(device.last_slot, device.enrolled_slot))


def is_silent(device: DeviceView, beacon: int, calendar: Calendar) -> bool:
    """Whether it has missed SILENT_REPORTS reports, and the one that may still be under way."""
    if device.standing in ENDED:
        return False
    return silent_beacons(device, beacon) > SILENT_REPORTS * calendar.window_beacons(device.interval_s) + 1
