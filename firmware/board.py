"""What differs between a process of the unix MicroPython and a board: files, randomness, ticks, sensors.

The one file that an ESP32 replaces. It also runs on CPython, for tests.
"""

import gc
import os
import sys
import time

CHANNELS = [["heap_free", "B", 0], ["uptime", "s", 0]]  # [name, unit, decimal exponent]; see `readings`
TICKS_PERIOD = 1 << 30  # `ticks_ms` of a 32-bit port wraps here

random = os.urandom
open = open
rename = os.rename
remove = os.remove
ticks_ms = getattr(time, "ticks_ms", None) or (lambda: time.monotonic_ns() // 1_000_000 % TICKS_PERIOD)


def size_of(path):
    """Bytes of a file, -1 without one."""
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def make_folder(path):
    """A folder that nobody else may read, unless there is one already."""
    if size_of(path) < 0:
        os.mkdir(path)
        if hasattr(os, "system"):  # MicroPython has no chmod
            os.system("chmod 700 '%s'" % path.replace("'", "'\\''"))


def sync(file):
    """Return when a power cut can no longer undo what was written. Raises OSError."""
    file.flush()
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())  # where there is none, `flush` has done it


def sync_folder(path):
    """As `sync`, for the names in a folder."""
    if hasattr(os, "fsync"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    else:
        with open(path, "rb") as folder:
            folder.flush()


def heap_free():
    return gc.mem_free() if hasattr(gc, "mem_free") else 0


def readings(now_ms):
    """One value for each channel."""
    return [heap_free(), now_ms // 1000]


def complain(text):
    sys.stderr.write(text + "\n")
