"""What a list is asked to hold, and where its next page begins: plain values that web and store share."""

from typing import NamedTuple

from .views import DeviceView

STANDINGS = ("vetting", "active", "quarantined", "revoked")


class DeviceFilter(NamedTuple):
    """Devices for which all of this is true; empty or None asks for nothing."""

    standing: str = ""  # one of STANDINGS
    owner: bytes = b""
    measures: str = ""  # has a channel of this name
    silent_since: int | None = None  # nothing of it was accepted in this slot or later


class DevicePlace(NamedTuple):
    """Where a list of devices goes on: behind this device, in the order that its filter asks for."""

    number: int
    device: bytes


class DevicePage(NamedTuple):
    """Devices of a list; `next` is None behind the last. A page may be short, even empty, and have a next: what is
    looked at for one page is bounded."""

    devices: list[DeviceView]
    next: DevicePlace | None


class StatementPlace(NamedTuple):
    """Where a statement stands: `epoch` is that in which it was received."""

    device: bytes
    boot: int
    seq: int
    epoch: int
