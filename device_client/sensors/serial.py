"""What drivers of sensors that talk by themselves share: only what comes from now on, for a time and no more bytes
than a limit. Old bytes are old readings: the buffer of a board keeps the oldest.
"""

from . import waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PIECE_BYTES = 128
DRAINED_MAX = 64  # pieces: 8 KiB, twice what any buffer here holds
PAUSE_MS = 20


def fresh(port: "Any", clock: "waits.Clock", wait_ms: int, bytes_max: int) -> "Iterator[bytes]":
    """Pieces of at most PIECE_BYTES until the time is over or `bytes_max` came. `port` has `any()` and `read(n)` of a
    MicroPython UART, which do not wait. Raises its OSError."""
    for _ in range(DRAINED_MAX):
        if not port.any() or not port.read(PIECE_BYTES):
            break
    started_ms = clock.ticks_ms()
    taken = 0
    while taken < bytes_max and clock.ticks_diff(clock.ticks_ms(), started_ms) < wait_ms:
        piece = port.read(min(PIECE_BYTES, bytes_max - taken)) if port.any() else None
        if piece:
            taken += len(piece)
            yield piece
        else:
            clock.sleep_ms(PAUSE_MS)
