"""The sensors that are wired to a device, as its compiled profile names them, read as one.

Each reads on its own: one that is absent or says nonsense leaves MISSING in its channels, the others go on, and it is
tried again with the next reading. What is wrong is told with a notice for each code, a number whose bit i stands for
channel i, whenever it has changed, and once at the start, because what was told before the start may be over.
"""

from device_client.core import notices, statement

from . import waits
from .faults import Absent, Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHANNELS_MAX = 16
NAME_CHARS_MAX = 24
STUCK_READS = 60  # as long without a change as the network's parameters allow of a temperature
CODES = ("sensor_absent", "sensor_stuck", "sensor_out_of_range", "sensor_garbage")
STUCK = 1  # its place in CODES
NOTICES = (
    notices.SENSOR_ABSENT,
    notices.SENSOR_STUCK,
    notices.SENSOR_OUT_OF_RANGE,
    notices.SENSOR_GARBAGE,
)
NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_"
KINDS = ("bme280", "sht31", "ds18b20", "pms5003", "gps", "adc", "pulse")


class Attached:
    """`about` is the compiled profile (board.json) with its `buses` and `sensors`; `open_bus(bus)` opens one of them;
    `internal` is a sensor without wires (`channels`, `read()`), as many of whose channels are reported as there is
    room for, first. Raises ValueError for what cannot be reported.
    """

    def __init__(
        self,
        about: "dict[str, Any]",
        open_bus: "Callable[[dict[str, Any]], Any]",
        internal: "Any" = None,
        clock: "waits.Clock" = waits,
    ) -> None:
        self.channels: "list[list[Any]]" = []
        self.private = False
        self.faults: "dict[str, str]" = {}  # what is wrong with a sensor, in words, by its name
        self._told: "list[int] | None" = None
        self._internal = internal
        self._sensors: "list[tuple[str, int, Any]]" = []  # (name, its first channel, driver)
        buses: "dict[str, Any]" = {}
        wired: "list[tuple[str, Any]]" = []
        for sensor in about["sensors"]:
            if sensor["kind"] not in KINDS:
                raise ValueError("%s: no driver for a %s" % (sensor["name"], sensor["kind"]))
            name = sensor["bus"]
            if name not in buses:
                buses[name] = open_bus(next(bus for bus in about["buses"] if bus["name"] == name))
            wired.append((sensor["name"], _driver(sensor["kind"])(buses[name], sensor, clock)))
        count = sum([len(driver.channels) for _, driver in wired])
        if count > CHANNELS_MAX:
            raise ValueError("%d channels; a device has at most %d" % (count, CHANNELS_MAX))
        if internal is not None:
            self.channels += [list(channel) for channel in internal.channels[: CHANNELS_MAX - count]]
        self._inside = len(self.channels)
        for name, driver in wired:
            self.private = self.private or driver.private
            self._sensors.append((name, len(self.channels), driver))
            self.channels += [_named(name, channel) for channel in driver.channels]
        self._before: "list[int | None]" = [None] * len(self.channels)
        self._runs = [0] * len(self.channels)

    def read(self, now_ms: int = 0, notice: "Callable[[int, int], None] | None" = None) -> "list[int]":
        """One value a channel, MISSING where there is none. `notice(code, channels)`, the client's, is called for what
        has changed. Takes at most the sum of what its drivers say they take."""
        values: "list[int | None]" = []
        if self._internal is not None:
            values += self._internal.read()[: self._inside]
        wrong = [0] * len(CODES)
        for name, first, driver in self._sensors:
            try:
                found = driver.read()
                self.faults.pop(name, None)
            except (Fault, OSError) as fault:
                code = fault.code if isinstance(fault, Fault) else Absent.code
                self.faults[name] = "%s: %s" % (code, fault)
                found = [None] * len(driver.channels)
                wrong[CODES.index(code)] |= ((1 << len(found)) - 1) << first
            values += found
            if driver.moves:
                wrong[STUCK] |= self._stuck(first, found)
        if self._sensors and notice is not None:
            for at, number in enumerate(NOTICES):
                if self._told is None or self._told[at] != wrong[at]:
                    notice(number, wrong[at])
            self._told = wrong
        return [statement.MISSING if value is None else value for value in values]

    def _stuck(self, first: int, values: "list[int | None]") -> int:
        """The channels from `first` on that have had the same value for STUCK_READS readings."""
        stuck = 0
        for channel, value in enumerate(values, first):
            same = value is not None and value == self._before[channel]
            self._runs[channel] = self._runs[channel] + 1 if same else 1
            self._before[channel] = value
            if self._runs[channel] >= STUCK_READS:
                stuck |= 1 << channel
        return stuck


def _driver(kind: str) -> "Any":
    """The class; only the drivers of what is wired take memory."""
    name = "device_client.sensors." + kind
    return __import__(name, None, None, ("Driver",)).Driver


def _named(sensor: str, channel: "list[Any]") -> "list[Any]":
    name = "%s_%s" % (sensor.replace("-", "_"), channel[0])
    if len(name) > NAME_CHARS_MAX or [one for one in name if one not in NAME_CHARS]:
        raise ValueError("%s: a channel's name has at most %d characters of a-z 0-9 _" % (name, NAME_CHARS_MAX))
    return [name, channel[1], channel[2]]
