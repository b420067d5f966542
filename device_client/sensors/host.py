"""The machine itself: CPU temperature where there is one, load, memory and disk in use. Linux; /proc and /sys."""

import os
import shutil
from pathlib import Path

from . import Channel


class HostSensor:
    """`proc` and `sys` can be pointed elsewhere by a test; `disk` is the folder whose file system is measured."""

    is_slow = False

    def __init__(self, proc: Path = Path("/proc"), sys: Path = Path("/sys"), disk: Path = Path("/")) -> None:
        self._meminfo = proc / "meminfo"
        self._disk = disk
        zones = sorted(sys.glob("class/thermal/thermal_zone*/temp"))
        self._temperature = next((zone for zone in zones if _millidegrees(zone) is not None), None)
        self._has_memory = self._meminfo.exists()

    @property
    def channels(self) -> list[Channel]:
        found: list[Channel] = [("cpu_temperature", "Cel", -2)] if self._temperature else []
        found.append(("load", "/", -2))
        if self._has_memory:
            found.append(("memory_used", "%", -1))
        return [*found, ("disk_used", "%", -1)]

    def read(self) -> list[int]:
        values = []
        if self._temperature:
            millidegrees = _millidegrees(self._temperature)
            if millidegrees is None:
                raise OSError(f"{self._temperature} does not answer")
            values.append(millidegrees // 10)
        values.append(round(os.getloadavg()[0] * 100))
        if self._has_memory:
            values.append(self._memory_permille())
        usage = shutil.disk_usage(self._disk)
        return [*values, usage.used * 1000 // max(1, usage.total)]

    def _memory_permille(self) -> int:
        fields = {}
        for line in self._meminfo.read_text().splitlines():
            name, _, rest = line.partition(":")
            fields[name] = int(rest.split()[0])
        total = fields["MemTotal"]
        return (total - fields["MemAvailable"]) * 1000 // total


def _millidegrees(zone: Path) -> int | None:
    try:
        return int(zone.read_text())
    except (OSError, ValueError):
        return None
