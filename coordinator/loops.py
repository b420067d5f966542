"""The event loop of the coordinator's processes, and when they look for garbage."""

import asyncio
import gc
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def collect_rarely() -> None:
    """Call when all is imported. What a message leaves behind goes away by itself; looking for cycles among the few
    thousand messages under way, every 700 objects, costs a tenth of the time that the rest of the work takes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
