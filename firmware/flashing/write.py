"""One board, from the boot loader on: who it is, what has to be written, and that it was.

A board that already has our partition table, for the same network or for none yet, keeps NVS and outbox: that is its
key and what has no receipt yet. On any other board both are erased, because what lies there is somebody else's.
"""

from collections.abc import Callable
from typing import NamedTuple

from device_client.profiles import Profile, ProfileError, load_profile, profiles

from .image import Files, file_system, network_of
from .loader import Chip, Loader
from .micropython import Firmware
from .partitions import TABLE_AT, named, table
from .trouble import FlashError

KEPT = ("nvs", "outbox")
MB = 1 << 20


class Written(NamedTuple):
    """What is on a board now; `kept` tells whether its key and outbox are those from before, `verified`
    how many parts the chip has found to be as they were sent."""

    chip: Chip
    profile: Profile
    firmware: Firmware
    files: Files
    kept: bool
    verified: int


def profile_for(chip: Chip, board: str | None) -> Profile:
    """The named profile if it fits the chip, or the only one that does. Raises FlashError."""
    if board is not None:
        profile = esp32_profile(board)
        if profile.chip.name != chip.name:
            text = f"this board has an {chip.description}; {profile.board} has an {profile.chip.name}"
            raise FlashError("wrong_chip", text)
        if chip.flash_bytes < profile.flash_mb * MB:
            text = f"this board has {chip.flash_bytes // MB} MB of flash; {profile.board} has {profile.flash_mb} MB"
            raise FlashError("wrong_flash", text)
        return profile
    every = [load_profile(name) for name in profiles()]
    fit = [one for one in every if one.kind == "esp32" and one.chip.name == chip.name]
    fit = [one for one in fit if one.flash_mb * MB <= chip.flash_bytes]
    if len(fit) == 1:
        return fit[0]
    about = f"{chip.description} with {chip.flash_bytes // MB} MB of flash"
    if fit:
        raise FlashError(
            "which_board", f"{about}: name the board with --board, one of {', '.join(p.board for p in fit)}"
        )
    known = ", ".join(one.board for one in every if one.kind == "esp32")
    raise FlashError("wrong_chip", f"{about}: no board profile fits; known: {known}, or the path of a .toml file")


def esp32_profile(board: str) -> Profile:
    """Raises FlashError."""
    try:
        profile = load_profile(board)
    except ProfileError as error:
        raise FlashError("bad_input", str(error)) from None
    if profile.kind != "esp32":
        text = "it needs no flashing; see: edgetally device setup"
        raise FlashError("bad_input", f"{profile.board}: a {profile.kind}, no board with an ESP32; {text}")
    return profile


def write_board(
    loader: Loader,
    board: str | None,
    firmware_for: Callable[[Profile], Firmware],
    files_for: Callable[[Profile], Files],
    erase: bool = False,
) -> Written:
    """Everything, checked by the chip's own MD5; then the board starts. Raises FlashError."""
    profile = profile_for(loader.chip, board)
    firmware, files = firmware_for(profile), files_for(profile)
    entries = table(network_of(files))
    image = file_system(files)
    kept = not erase and (loader.holds(TABLE_AT, entries) or loader.holds(TABLE_AT, table()))
    if erase:
        loader.erase_all()
    elif not kept:
        for label in KEPT:
            part = named(label)
            loader.erase(part.address, part.size)
    programs = firmware.parts()
    loader.write(
        [
            ("MicroPython", programs[1][0], programs[1][1]),
            ("client", named("vfs").address, image),
            ("boot loader", programs[0][0], programs[0][1]),
            ("partition table", TABLE_AT, entries),  # last: a board that was interrupted is not taken for one of ours
        ]
    )
    loader.restart()
    return Written(loader.chip, profile, firmware, files, kept, loader.verified)
