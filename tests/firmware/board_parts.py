"""A flash dump for tests of the simulated board, and the board itself."""

import asyncio
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

from littlefs import LittleFS

from firmware.simulated.keeper import Board
from tests.parts import require_micropython

PATIENCE_S = 30
FLASH_BYTES = 0x100000
# label: (type, subtype, address, size); small, so that a dump is made at once
PARTITIONS = {
    "nvs": (1, 2, 0x9000, 0x6000),
    "phy_init": (1, 1, 0xF000, 0x1000),
    "factory": (0, 0, 0x10000, 0x10000),
    "vfs": (1, 0x81, 0x20000, 0x80000),
    "outbox": (1, 0x40, 0xA0000, 0x10000),
}


def table(partitions: dict[str, tuple[int, int, int, int]]) -> bytes:
    entries = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, at, size, label.encode(), 0)
        for label, (kind, subtype, at, size) in partitions.items()
    )
    return entries + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries).digest()


def dump(path: Path, files: dict[str, bytes], partitions: dict[str, tuple[int, int, int, int]] = PARTITIONS) -> Path:
    """A flash file with a partition table and these files in `vfs`."""
    image = bytearray(b"\xff" * FLASH_BYTES)
    made = table(partitions)
    image[0x8000 : 0x8000 + len(made)] = made
    at, size = partitions["vfs"][2:]
    image[at : at + size] = file_system(size, files)
    path.write_bytes(image)
    return path


def file_system(size: int, files: dict[str, bytes]) -> bytes:
    lfs = LittleFS(block_size=4096, block_count=size // 4096)
    for name, data in files.items():
        parent = name.rpartition("/")[0]
        if parent:
            lfs.makedirs(parent, exist_ok=True)
        with lfs.open(name, "wb") as file:
            file.write(data)
    return bytes(lfs.context.buffer)


class Kept(Board):
    """The board with what tests ask of it."""

    def __init__(self, flash: Path, scenario: Path | None = None, **settings) -> None:
        super().__init__(require_micropython(), flash, scenario, **settings)

    async def until(self, wanted: Callable[[str], bool]) -> str:
        """The next line that satisfies a condition."""

        async def reading() -> str:
            while (line := await self.line()) is not None:
                if wanted(line):
                    return line
            raise AssertionError("the board is off:\n" + "\n".join(list(self.said)[-20:]))

        try:
            return await asyncio.wait_for(reading(), PATIENCE_S)
        except TimeoutError:
            raise AssertionError("no such line in:\n" + "\n".join(list(self.said)[-10:])) from None

    async def off(self) -> list[str]:
        """Wait until it stays off; how its runs ended."""
        assert self._task is not None
        await asyncio.wait_for(self._task, PATIENCE_S)
        return self.ends
