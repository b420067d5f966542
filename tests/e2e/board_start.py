"""Runs on MicroPython: a file as a board's flash, mounted and started as the stock firmware does it.

    board_start.py IMAGE

A reset ends the process with the code 75.
"""

import os
import sys

BLOCK = 4096


class Machine:
    """Stands in for the module `machine`."""

    DEEPSLEEP_RESET = 4

    @staticmethod
    def reset():
        sys.exit(75)

    @staticmethod
    def reset_cause():
        return 1


class Flash:
    """Blocks of a file."""

    def __init__(self, path):
        self._file = open(path, "r+b")  # noqa: SIM115 - for as long as the process
        self._count = os.stat(path)[6] // BLOCK
        self._erased = b"\xff" * BLOCK

    def readblocks(self, block, buffer, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self._file.seek(block * BLOCK + offset)
        self._file.write(buffer)

    def ioctl(self, operation, block):
        if operation == 4:
            return self._count
        if operation == 5:
            return BLOCK
        if operation == 6:
            self.writeblocks(block, self._erased)
        return 0


sys.modules["machine"] = Machine
flash = Flash(sys.argv[1])
os.umount("/")
os.mount(os.VfsLfs2(flash), "/")
with open("/main.py") as file:
    source = file.read()
exec(source, {"__name__": "__main__"})
