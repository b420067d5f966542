"""Pulses of a contact or an S0 output, counted since the device was started. The bus counts; see the two `buses`."""

from . import waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Driver:
    """A count begins at 0 with every start: what counts is the difference within a boot."""

    moves = False
    private = False
    channels = [["count", "count", 0]]

    def __init__(self, bus: "Any", config: "dict[str, Any]", clock: "waits.Clock" = waits) -> None:
        self._bus = bus

    def read(self) -> "list[int | None]":
        return [self._bus.count()]
