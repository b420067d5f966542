"""The least heap in which the firmware's process enrols and gets receipts.

    python -m tests.bench.firmware_heap [KIB ...]

Each size is tried with a process of the unix MicroPython on x86-64, whose words are twice as long as a board's, against
a real broker and a real intake. TLS is off: its buffers lie outside of this heap.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.firmware.shell_network import Device, served

RECEIPTS = 25
SIZES_KIB = range(78, 100)  # 77 were not enough


async def held(heap_kib: int) -> int | None:
    """Bytes of the heap in use after RECEIPTS receipts, garbage since the last collection included; None if it ended
    before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            served(folder) as (network, _),
            Device(network.given(folder / "state"), f"{heap_kib}K") as device,
        ):
            try:
                status = await device.status(lambda found: found["receipts"] >= RECEIPTS)
            except AssertionError:
                return None
            return heap_kib * 1024 - int(status["heap_free"])


def least(sizes_kib: "list[int]") -> "tuple[int, int] | None":
    """(KiB, bytes in use) of the first size that is enough."""
    for size_kib in sizes_kib:
        if used := asyncio.run(held(size_kib)):
            return size_kib, used
    return None


def main() -> int:
    found = least(sorted(map(int, sys.argv[1:])) or list(SIZES_KIB))
    if found is None:
        print("firmware heap: none of these is enough")
        return 1
    print(f"firmware heap: {found[0]} KiB is enough for {RECEIPTS} receipts, {found[1]} bytes in use after the last")
    return 0


if __name__ == "__main__":
    sys.exit(main())
