"""How far apart beacons are: by their own times, and by the uptimes that devices signed over them.

Nothing is wrong when the two differ. A reader compares them, to judge the coordinator's clock.
"""

from itertools import pairwise
from statistics import median

from coordinator.kernel.statements import Statements

from .beacons import BeaconChain

DIFFERENCES_MAX = 1_000_000


def beacon_spacing_s(chain: BeaconChain) -> float:
    """Median seconds from one beacon to the next, 0 where unknown."""
    times = [beacon.time for beacon in chain.beacons]
    spacing = [after - before for before, after in pairwise(times)]
    return float(median(spacing)) if spacing else 0.0


class DeviceSpacing:
    """Differences of uptimes in seconds a beacon, within one boot of a device."""

    def __init__(self) -> None:
        self._differences: list[float] = []
        self._last: dict[bytes, tuple[int, int, int]] = {}  # device -> boot, quoted, uptime

    def take(self, statements: Statements) -> None:
        columns = (statements.columns[name].tolist() for name in ("device", "boot", "quoted", "uptime_s"))
        for device, boot, quoted, uptime_s in zip(*columns, strict=True):
            last_boot, last_quoted, last_uptime_s = self._last.get(device, (0, 0, 0))
            if last_boot == boot and quoted > last_quoted and len(self._differences) < DIFFERENCES_MAX:
                self._differences.append((uptime_s - last_uptime_s) / (quoted - last_quoted))
            self._last[device] = (boot, quoted, uptime_s)

    @property
    def median_s(self) -> float:
        """0 where unknown."""
        return float(median(self._differences)) if self._differences else 0.0
