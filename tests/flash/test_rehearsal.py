"""`edgetally flash --simulate`: esptool, a mock boot loader, the very image in real MicroPython, a real coordinator."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from firmware.flashing import image, rehearsal
from firmware.flashing.partitions import FLASH_BYTES_MIN, TABLE_AT, named, table
from firmware.flashing.trouble import FlashError
from tests.parts import require_micropython


def test_both_runs_enrol_and_hold_a_receipt(rehearsal: tuple[dict[str, Any], Path, str]) -> None:
    told, folder, said = rehearsal
    assert (told["result"], told["firmware"], told["arch"]) == ("ok", "stand-in", "xtensawin")
    assert told["md5_verified"] == 4
    as_built, swapped = told["runs"]
    assert as_built["enrolled"] and swapped["enrolled"] and as_built["receipts"] and swapped["receipts"]
    assert as_built["device"] != swapped["device"]
    # What the chip would run cannot be loaded here; what replaced it can.
    assert as_built["native"] == as_built["not_loadable"] == swapped["swapped"] == swapped["native"]
    assert "a/lib/_field_viper.mpy" in as_built["native"] and swapped["not_loadable"] == []
    assert (as_built["arithmetic"], swapped["arithmetic"]) == ("big integers", "viper")
    assert list(folder.iterdir()) == []  # token and Wi-Fi were in there
    assert "not a secret" not in said and "Traceback" not in said


def flash_of(files: image.Files) -> bytes:
    held = bytearray(b"\xff" * FLASH_BYTES_MIN)
    held[TABLE_AT : TABLE_AT + len(table())] = table()
    vfs = named("vfs")
    held[vfs.address : vfs.end] = image.file_system(files)
    return bytes(held)


def booted(files: image.Files, folder: Path) -> rehearsal.Rehearsed:
    return asyncio.run(rehearsal.boot(require_micropython(), flash_of(files), folder, "flash"))


def test_a_board_without_provisioning_says_so(files: image.Files, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rehearsal, "BOOT_S", 3.0)
    without = {name: data for name, data in files.items() if name != "provisioning.json"}
    with pytest.raises(FlashError, match="provisioning_refused"):
        booted(without, tmp_path)


def test_a_board_without_a_client_says_so(files: image.Files, tmp_path: Path) -> None:
    without = {name: data for name, data in files.items() if not name.startswith("a/app")}
    with pytest.raises(FlashError, match="no_application"):
        booted(without, tmp_path)


def test_only_machine_code_is_swapped(files: image.Files) -> None:
    flash = flash_of(files)
    other, names = rehearsal.swapped(flash)
    vfs = named("vfs")
    before, after = (image.read_file_system(one[vfs.address : vfs.end]) for one in (flash, other))
    assert sorted(name for name in before if before[name] != after[name]) == names == image.native(before)
    assert other[: vfs.address] == flash[: vfs.address] and other[vfs.end :] == flash[vfs.end :]
