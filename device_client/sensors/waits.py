"""Waiting in milliseconds, on CPython as MicroPython does it. A driver's `clock` is this module, or a test's."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Clock(Protocol):
        def sleep_ms(self, ms: int) -> None: ...
        def ticks_ms(self) -> int: ...
        def ticks_diff(self, later: int, earlier: int) -> int: ...


try:
    from time import sleep_ms, ticks_diff, ticks_ms  # type: ignore[attr-defined,unused-ignore]
except ImportError:
    import time

    def sleep_ms(ms: int) -> None:
        time.sleep(ms / 1000)

    def ticks_ms() -> int:
        return time.monotonic_ns() // 1_000_000

    def ticks_diff(later: int, earlier: int) -> int:
        return later - earlier
