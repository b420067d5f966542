"""The event loop of the coordinator's processes, when they look for garbage, and how long a thread may keep the rest
waiting."""

import asyncio
import gc
import sys
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


SWITCH_S = 0.0002


def switch_often() -> None:
    """A thread that seals a batch gives up the interpreter when another one has asked for so long, instead of 5 ms. A
    statement on its way to its receipt asks again and again: behind each signature check, each write, each turn of the
    loop."""
    sys.setswitchinterval(SWITCH_S)


def collect_rarely() -> None:
    """Call when all is imported. What a message leaves behind goes away by itself; looking for cycles among the few
    thousand messages under way, every 700 objects, costs a tenth of the time that the rest of the work takes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
