"""A voltage at an ADC pin, as the chip's own calibration gives it (`ADC.read_uv()` of MicroPython). ESP32 only: a
Raspberry Pi has no ADC.
"""

from . import waits
from .faults import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SAMPLES = 16
SUPPLY_UV = 3_600_000  # no pin stands more


class Driver:
    """One `read` is the mean of 16 samples."""

    moves = False
    private = False
    channels = [["voltage", "V", -3]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus

    def read(self) -> "list[int | None]":
        microvolt = sum([within(0, self._bus.read_uv(), SUPPLY_UV, "voltage") for _ in range(SAMPLES)])
        return [(2 * microvolt + SAMPLES * 1000) // (SAMPLES * 2000)]
