"""Images for others to write: the parts without any secret, and the manifest that browser flashers read.

The format is that of ESP Web Tools: name, version, and for a chip family the parts with their offsets. A board that
was flashed like this says `provisioning_refused` until `edgetally flash TOKEN --update` has told it a network.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .partitions import BOOTLOADER_AT, TABLE_AT, named, table
from .trouble import FlashError

if TYPE_CHECKING:
    from device_client.profiles import Profile

    from .micropython import Firmware

MANIFEST = "manifest.json"
BOOT, TABLE, PROGRAM, CLIENT = "boot-loader.bin", "partition-table.bin", "micropython.bin", "client.bin"
PARTS = (BOOT, TABLE, PROGRAM, CLIENT)


def offsets(chip: str) -> dict[str, int]:
    """Where each part of an image for a chip goes."""
    return {
        BOOT: BOOTLOADER_AT[chip],
        TABLE: TABLE_AT,
        PROGRAM: named("factory").address,
        CLIENT: named("vfs").address,
    }


def manifest(profile: "Profile", version: str) -> dict[str, Any]:
    """What an ESP Web Tools installer reads; the paths lie beside it."""
    parts = [{"path": name, "offset": offset} for name, offset in offsets(profile.chip.name).items()]
    return {
        "name": f"Edgetally on {profile.name}",
        "version": version,
        "new_install_prompt_erase": True,
        "builds": [{"chipFamily": profile.chip.family, "parts": parts}],
    }


def has_images(folder: Path, board: str) -> bool:
    """Whether every part for a board is in the folder of images."""
    return all((folder / board / name).is_file() for name in PARTS)


def write_images(
    folder: Path, profile: "Profile", firmware: "Firmware", files: Mapping[str, bytes], version: str
) -> list[str]:
    """Write FOLDER/BOARD/ with the parts and the manifest; the names made. Raises FlashError."""
    from .image import SECRETS, file_system

    if set(files) & SECRETS:
        raise FlashError("bad_input", "images for others must not hold a provisioning")
    (boot_at, boot), (program_at, program) = firmware.parts()
    made = {
        BOOT: boot,
        TABLE: table(),
        PROGRAM: program,
        CLIENT: file_system(files),
        MANIFEST: json.dumps(manifest(profile, version), indent=2).encode() + b"\n",
    }
    wanted = offsets(profile.chip.name)
    assert (boot_at, program_at) == (wanted[BOOT], wanted[PROGRAM])
    target = folder / profile.board
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            (target / name).write_bytes(data)
    except OSError as error:
        raise FlashError("bad_input", f"{target}: {error.strerror}") from None
    return [f"{profile.board}/{name}" for name in made]
