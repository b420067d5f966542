"""MicroPython images: known, accepted, refused, and what of them is written."""

import hashlib
from pathlib import Path

import pytest

from firmware.flashing import micropython
from firmware.flashing.micropython import KNOWN, Firmware, known_images, read_firmware, stand_in
from firmware.flashing.partitions import BOOTLOADER_AT
from firmware.flashing.trouble import FlashError


def image(tmp_path: Path, chip: str = "esp32", data: bytes | None = None) -> Path:
    path = tmp_path / "micropython.bin"
    path.write_bytes(stand_in(chip).data if data is None else data)
    return path


def refused(path: Path, chip: str = "esp32", accepted: str | None = None) -> str:
    with pytest.raises(FlashError) as caught:
        read_firmware(path, chip, accepted)
    assert str(path) in str(caught.value)
    return caught.value.code


def test_the_table_can_be_used() -> None:
    found = known_images()
    assert {one.chip for one in found} == set(BOOTLOADER_AT) and len({one.sha256 for one in found}) == len(found)


@pytest.mark.parametrize("line", ['sha256 = "00"', 'chip = "esp8266"', "seen = 0", "colour = 1"])
def test_a_table_with_a_wrong_line_is_refused(tmp_path: Path, line: str) -> None:
    key = line.split(" ")[0]
    lines = [one for one in KNOWN.read_text().splitlines() if not one.startswith(f"{key} =")]
    path = tmp_path / "firmware.toml"
    path.write_text("\n".join(lines) + f"\n{line}\n")
    with pytest.raises(FlashError, match=r"firmware\.toml"):
        known_images(path)


def test_an_image_is_known_by_its_digest_or_accepted_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert refused(path) == "unknown_firmware"
    assert refused(path, accepted="0" * 64) == "unknown_firmware"
    assert read_firmware(path, "esp32", digest.upper()).name == "accepted"
    known = known_images()[0]._replace(sha256=digest, version="9.9")
    monkeypatch.setattr(micropython, "known_images", lambda: (known,))
    assert read_firmware(path, "esp32").name == "9.9"


def test_what_is_no_image_for_the_chip_is_refused(tmp_path: Path) -> None:
    good = stand_in("esp32").data
    assert refused(tmp_path / "absent.bin") == "bad_input"
    for data in (b"", good[:100], b"\0" + good[1:], good[:0xF000] + b"\0" + good[0xF001:]):
        assert refused(image(tmp_path, data=data)) == "bad_firmware"
    assert refused(image(tmp_path, "esp32s3")) == "bad_firmware"  # its program lies elsewhere in the file
    assert refused(image(tmp_path, "esp32s3"), "esp32c3") == "wrong_chip"
    assert refused(image(tmp_path, data=good + b"\xff" * 0x1F0000)) == "bad_firmware"


@pytest.mark.parametrize("chip", sorted(BOOTLOADER_AT))
def test_neither_nvs_nor_the_partition_table_is_written(chip: str) -> None:
    start = BOOTLOADER_AT[chip]
    data = bytes(range(1, 256)) * 400  # no byte of 0xFF that could be cut off
    boot, program = Firmware("test", chip, "", data).parts()
    assert boot == (start, data[: 0x8000 - start]) and program == (0x10000, data[0x10000 - start :])
