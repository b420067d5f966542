"""Where the tests of this folder run: on which worker, in which order, on which disk."""

import os
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest

MEMORY = Path("/dev/shm")
MEMORY_FREE = 4 << 30

# A shell that starts pytest with `&` lets it ignore Ctrl-C, and every process under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _fits() -> bool:
    """There is room for all that tests leave, and programs may be started there."""
    try:
        disk = os.statvfs(MEMORY)
    except OSError:
        return False
    free = min(disk.f_bavail * disk.f_frsize, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return free > MEMORY_FREE and not disk.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)


# How long one example takes tells of the machine.
hypothesis.settings.register_profile("edgetally", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("edgetally")

if _fits():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.spread import rank

    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One a processor: with more, tests of what is in time fail for want of time."""
    return max(2, os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    from tests.spread import Spread

    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Spread(config, log)
