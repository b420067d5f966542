"""A GPS receiver that speaks NMEA 0183 over UART, one position a second.

A position is where somebody lives: readings of a device with a GPS are enrolled as private (`private`), whatever the
operator's file says. The public place of a device is the coarse cell of its enrolment, never a reading.
"""

from . import nmea, serial, waits
from .faults import Absent, Garbage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAIT_MS = 2_500  # two rounds of a receiver at 1 Hz
BYTES_MAX = 4_096


class Driver:
    """One `read` takes about a second, 2.5 at most. The altitude is None where only RMC sentences come."""

    moves = False
    private = True
    channels = [["latitude", "lat", -6], ["longitude", "lon", -6], ["altitude", "m", -1]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus
        self._clock = clock

    def read(self) -> "list[int | None]":
        held = b""
        heard = understood = False
        ground: "list[int | None] | None" = None
        for piece in serial.fresh(self._bus, self._clock, WAIT_MS, BYTES_MAX):
            heard = True
            lines = (held + piece).split(b"\n")
            held = lines.pop()[-nmea.LINE_BYTES_MAX :]
            for line in lines:
                said = nmea.fields(line)
                understood = understood or bool(said)
                fix = position(said)
                if fix is not None and fix[2] is not None:
                    return fix
                ground = fix or ground
        if ground is not None:
            return ground
        if heard and not understood:
            raise Garbage("no sentence among the bytes")
        raise Absent("no fix" if heard else "it says nothing")


def position(said: "list[bytes]") -> "list[int | None] | None":
    """[latitude, longitude, altitude] of a GGA or RMC sentence with a fix, the altitude None of an RMC; else None."""
    altitude = None
    if said[:1] == [b"GGA"] and len(said) >= 11 and said[6] in nmea.MEASURED:
        at = 2
        altitude = nmea.scaled(said[9], 1) if said[10] == b"M" else None
    elif said[:1] == [b"RMC"] and len(said) >= 10 and said[2] == b"A":
        at = 3
    else:
        return None
    latitude = nmea.degrees(said[at], said[at + 1], b"NS", 90)
    longitude = nmea.degrees(said[at + 2], said[at + 3], b"EW", 180)
    if latitude is None or longitude is None:
        return None
    return [latitude, longitude, altitude]
