"""Waiting in milliseconds, on CPython as MicroPython does it. A driver's `clock` is this module, or a test's."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Clock(Protocol):
        def sleep_ms(self, ms: int) -> None: ...
        def ticks_ms(self) -> int: ...
        def ticks_diff(self, later: int, earlier: int) -> int: ...

    def sleep_ms(ms: int) -> None: ...
    def ticks_ms() -> int: ...
    def ticks_diff(later: int, earlier: int) -> int: ...

else:
    try:
        from time import sleep_ms, ticks_diff, ticks_ms
    except ImportError:
        import time

        def sleep_ms(ms):
            time.sleep(ms / 1000)

        def ticks_ms():
            return time.monotonic_ns() // 1_000_000

        def ticks_diff(later, earlier):
            return later - earlier
