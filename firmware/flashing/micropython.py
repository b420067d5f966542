"""The MicroPython image that goes below the client: is it one, for this chip, and does anybody vouch for it?

An image begins where the boot ROM looks for the boot loader. It brings its own partition table and blank space for NVS;
neither is written: the table is ours, and NVS holds the key of a board that is flashed again.
Source: ESP-IDF, "App Image Format" (magic 0xE9, chip id at byte 12).
"""

import hashlib
import re
import struct
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .partitions import BOOTLOADER_AT, TABLE_AT, named
from .trouble import FlashError

KNOWN = Path(__file__).resolve().parents[2] / "hardware" / "firmware.toml"
STAND_IN = "stand-in"
_IMAGE_MAGIC = 0xE9
_CHIP_IDS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 13: "esp32c6", 16: "esp32h2"}
_SHA256 = re.compile("[0-9a-f]{64}")


class Known(NamedTuple):
    """A line of `hardware/firmware.toml`; `seen` counts those who published the digest independently of each other."""

    chip: str
    version: str
    file: str
    sha256: str
    seen: int


class Firmware(NamedTuple):
    """`name` is the version of a known image, `accepted` for one that the user vouches for, or STAND_IN."""

    name: str
    chip: str
    sha256: str
    data: bytes

    def parts(self) -> list[tuple[int, bytes]]:
        """(address, bytes) of the boot loader and of the program; NVS and the partition table are left out."""
        start, app = BOOTLOADER_AT[self.chip], named("factory").address
        return [(start, self.data[: TABLE_AT - start].rstrip(b"\xff")), (app, self.data[app - start :])]


@cache
def known_images(path: Path = KNOWN) -> tuple[Known, ...]:
    """Raises FlashError for a table that cannot be used."""
    try:
        rows = tomllib.loads(path.read_text()).get("images", [])
        found = tuple(Known(**row) for row in rows)
    except (OSError, ValueError, TypeError) as error:
        raise FlashError("bad_input", f"{path}: {error}") from None
    for one in found:
        if one.chip not in BOOTLOADER_AT or not _SHA256.fullmatch(one.sha256) or one.seen < 1:
            raise FlashError("bad_input", f"{path}: {one.file}: chip, sha256 or seen is not accepted")
    return found


def read_firmware(path: Path, chip: str, accepted: str | None = None) -> Firmware:
    """The image in `path` for `chip`; `accepted` is a SHA-256 in hex that the user vouches for. Raises FlashError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FlashError("bad_input", f"{path}: {error.strerror}") from None
    _check(path, data, chip)
    digest = hashlib.sha256(data).hexdigest()
    for one in known_images():
        if one.sha256 == digest:
            return Firmware(one.version, chip, digest, data)
    if accepted is not None and accepted.lower() == digest:
        return Firmware("accepted", chip, digest, data)
    text = f"{path}: SHA-256 {digest} is not in {KNOWN.name}; if you know where the file is from, add --accept-firmware"
    raise FlashError("unknown_firmware", f"{text} {digest}")


def _check(path: Path, data: bytes, chip: str) -> None:
    factory, start = named("factory"), BOOTLOADER_AT[chip]
    app = factory.address - start
    if len(data) <= app or data[0] != _IMAGE_MAGIC or data[app] != _IMAGE_MAGIC:
        text = (
            "it must begin with a boot loader and have its program at 0x10000, as downloads for first installation do"
        )
        raise FlashError("bad_firmware", f"{path}: no MicroPython image for {chip}; {text}")
    for at in (0, app):
        found = _CHIP_IDS.get(struct.unpack_from("<H", data, at + 12)[0], "another chip")
        if found != chip:
            raise FlashError("wrong_chip", f"{path}: an image for {found}; the board has an {chip}")
    if start + len(data) > factory.end:
        raise FlashError("bad_firmware", f"{path}: {len(data)} bytes do not fit below 0x{factory.end:x}")


def stand_in(chip: str) -> Firmware:
    """For a rehearsal without a download: headers of the right chip around a sentence. It does not run."""
    head = bytes((_IMAGE_MAGIC, 0, 0, 0x20)).ljust(12, b"\0") + struct.pack("<H", _chip_id(chip)) + bytes(10)
    said = b"edgetally stand-in for MicroPython: it is written and checked, but it is no program"
    start, app = BOOTLOADER_AT[chip], named("factory").address
    data = (head + said).ljust(app - start, b"\xff") + (head + said).ljust(0x4000, b"\xff")
    return Firmware(STAND_IN, chip, hashlib.sha256(data).hexdigest(), data)


def _chip_id(chip: str) -> int:
    return next(number for number, name in _CHIP_IDS.items() if name == chip)
