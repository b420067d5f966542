"""Plantower PMS5003: mass of particles in the air, over UART, 9600 baud, as it sends by itself (active mode).

Source: PMS5003 series data manual V2.3 (2016-06-01), appendix I (frame of 32 bytes, data 4 to 6 "under atmospheric
environment", check code) and "Output result" (an interval of 0.2 to 2.3 s). The manual gives no upper end of what it
may say, so there is no out of range here. It asks for 30 s after power comes until its values are stable.
"""

from . import serial, waits
from .faults import Absent, Garbage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEAD = b"\x42\x4d\x00\x1c"  # "BM" and the length, 28
FRAME_BYTES = 32
WAIT_MS = 3_000
BYTES_MAX = 4_096


class Driver:
    """One `read` takes 2.3 s in clean air, 3 at most."""

    moves = False  # in clean air it says 0 for hours
    private = False
    channels = [["pm1", "kg/m3", -9], ["pm2_5", "kg/m3", -9], ["pm10", "kg/m3", -9]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus
        self._clock = clock

    def read(self) -> "list[int | None]":
        held = b""
        heard = False
        for piece in serial.fresh(self._bus, self._clock, WAIT_MS, BYTES_MAX):
            heard = True
            frame, held = first_frame(held + piece)
            if frame:
                return [frame[at] << 8 | frame[at + 1] for at in (10, 12, 14)]
        if heard:
            raise Garbage("no frame among the bytes")
        raise Absent("it says nothing")


def first_frame(data: bytes) -> "tuple[bytes, bytes]":
    """(the first whole frame whose check code is right or b"", what may still become one: less than a frame)."""
    at = data.find(HEAD)
    while 0 <= at <= len(data) - FRAME_BYTES:
        frame = data[at : at + FRAME_BYTES]
        if sum(frame[:30]) == frame[30] << 8 | frame[31]:
            return frame, data[at + FRAME_BYTES :]
        at = data.find(HEAD, at + 1)
    return b"", data[at:] if at >= 0 else data[1 - len(HEAD) :]
