"""What differs between a process of the unix MicroPython and a board: files, randomness, ticks, sensors.

An ESP32 has `chip.py` instead.
"""

import os
import sys
from gc import mem_free as heap_free
from time import ticks_ms as ticks_ms

random = os.urandom
open = open
rename = os.rename
remove = os.remove
CHANNELS = [["heap_free", "B", 0], ["uptime", "s", 0]]  # [name, unit, decimal exponent]; see `readings`
TICKS_PERIOD = 1 << 30  # `ticks_ms` of a 32-bit port wraps here, that of a 64-bit one at a multiple


def size_of(path):
    """Bytes of a file, -1 without one."""
    try:
        return os.stat(path)[6]
    except OSError:
        return -1


def sync(file):
    """Return when a power cut can no longer undo what was written. Raises OSError."""
    file.flush()  # of MicroPython, which has no fsync: does it


def sync_folder(path):
    """As `sync`, for the names in a folder."""
    with open(path, "rb") as folder:
        folder.flush()


def readings(now_ms):
    """One value for each channel."""
    return [heap_free(), now_ms // 1000]


def feed(now_ms):
    """The shell's loop has turned once more."""


def ask_time():
    """The clock is the operating system's."""


def restart(reason):
    """Who started this process starts it again."""
    sys.stderr.write("%s\n" % reason)
    sys.exit(3)


def make_folder(path):
    """A folder that nobody else may read, unless there is one already."""
    if size_of(path) < 0:
        os.mkdir(path)
        os.system("chmod 700 '%s'" % path.replace("'", "'\\''"))  # MicroPython has no chmod
