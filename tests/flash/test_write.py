"""Writing boards, with esptool against mock boot loaders: what is refused, what is kept, many at once."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_client.profiles import load_profile
from firmware.flashing import image
from firmware.flashing.job import Job, run
from firmware.flashing.loader import Chip, session, silent
from firmware.flashing.many import COLUMNS, State, run_many, write_csv
from firmware.flashing.micropython import stand_in
from firmware.flashing.mock_loader import mock_board
from firmware.flashing.partitions import FLASH_BYTES_MIN, named, parsed
from firmware.flashing.trouble import FlashError
from firmware.flashing.write import profile_for, write_board
from tests.flash.conftest import BOARD

MB = 1 << 20


def chip(name: str = "esp32", mb: int = 4) -> Chip:
    return Chip(name, name.upper(), "240ac4000000", mb * MB)


def refused(*arguments: Any) -> tuple[str, str]:
    with pytest.raises(FlashError) as caught:
        profile_for(*arguments)
    return caught.value.code, str(caught.value)


def test_the_wrong_board_is_refused_by_name() -> None:
    code, said = refused(chip("esp32s3"), BOARD)
    assert code == "wrong_chip" and "ESP32S3" in said and BOARD in said
    assert refused(chip(mb=2), BOARD)[0] == "wrong_flash"
    assert refused(chip("esp32h2"), None)[0] == "wrong_chip"
    assert refused(chip(), "toaster")[0] == "bad_input"
    code, said = refused(chip(), "raspberry-pi-5")
    assert code == "bad_input" and "edgetally device setup" in said


def test_the_only_board_that_fits_need_not_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert profile_for(chip("esp32c3"), None).board == "esp32-c3-devkitm"
    twin = load_profile(BOARD)._replace(board="twin")
    every = {BOARD: load_profile(BOARD), "twin": twin}
    monkeypatch.setattr("firmware.flashing.write.profiles", lambda: sorted(every))
    monkeypatch.setattr("firmware.flashing.write.load_profile", every.__getitem__)
    code, said = refused(chip(), None)
    assert code == "which_board" and f"{BOARD}, twin" in said


def written(flash: Path, files: image.Files, erase: bool = False) -> tuple[bool, bytes]:
    """Whether key and outbox were kept, and the flash afterwards."""
    with mock_board("esp32", flash) as url, session(url) as loader:
        made = write_board(loader, None, lambda _: stand_in("esp32"), lambda _: files, erase)
    assert made.verified == 4
    return made.kept, flash.read_bytes()


def test_key_and_outbox_are_kept_on_a_board_of_ours_only(files: image.Files, tmp_path: Path) -> None:
    flash = tmp_path / "flash.bin"
    marks = {part.address: b"something of before" for part in (named("nvs"), named("outbox"))}

    def marked(data: bytes) -> None:
        held = bytearray(data)
        for at, mark in marks.items():
            held[at : at + len(mark)] = mark
        flash.write_bytes(held)

    def found(data: bytes) -> list[bool]:
        return [data[at : at + len(mark)] == mark for at, mark in marks.items()]

    marked(b"\xff" * FLASH_BYTES_MIN)
    kept, data = written(flash, files)
    assert not kept and found(data) == [False, False]  # somebody else's
    assert parsed(data[0x8000:0x9000])[-1].label == "outbox"
    marked(data)
    kept, data = written(flash, {**files, "main.py": b"# a repair\n"})
    assert kept and found(data) == [True, True]
    vfs = named("vfs")
    assert image.read_file_system(data[vfs.address : vfs.end])["main.py"] == b"# a repair\n"
    marked(data)
    other = json.loads(files["provisioning.json"]) | {"genesis": "11" * 32}
    kept, data = written(flash, {**files, "provisioning.json": json.dumps(other).encode()})
    assert not kept and found(data) == [False, False]  # the key enrolled elsewhere, the outbox speaks to others
    kept, data = written(flash, files, erase=True)
    assert not kept and found(data) == [False, False]


def test_what_the_flash_does_not_hold_is_found(files: image.Files, tmp_path: Path, monkeypatch: Any) -> None:
    from esptool.loader import ESPLoader

    with mock_board("esp32", tmp_path / "flash.bin") as url, session(url) as loader:
        monkeypatch.setattr(ESPLoader, "flash_md5sum", lambda *_: "00" * 16)
        with pytest.raises(FlashError, match="MicroPython at 0x10000") as caught:
            write_board(loader, BOARD, lambda _: stand_in("esp32"), lambda _: files)
    assert caught.value.code == "write_failed"


def test_a_port_without_a_board_is_named(tmp_path: Path, secret: bytes) -> None:
    made = run(Job("socket://127.0.0.1:1", secret, None), silent)
    assert made.result == "no_answer" and "socket://127.0.0.1:1" in made.why and made.mac == ""
    assert secret.decode() not in repr(Job("/dev/x", secret, None))


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[str]]:
    """Two boards with an ESP32 and one with an ESP32-C3."""
    names = ("esp32", "esp32", "esp32c3")
    with (
        mock_board(names[0], tmp_path / "0.bin") as first,
        mock_board(names[1], tmp_path / "1.bin") as second,
        mock_board(names[2], tmp_path / "2.bin") as third,
    ):
        yield [first, second, third]


def test_many_at_once_and_one_failure_stops_no_other(three: list[str], secret: bytes, tmp_path: Path) -> None:
    ports = [*three, "socket://127.0.0.1:1"]
    states: list[dict[str, State]] = []
    rows = run_many([Job(port, secret, None, BOARD, follow_s=0) for port in ports], states.append)
    assert [row.result for row in rows] == ["ok", "ok", "wrong_chip", "no_answer"]
    assert [row.port for row in rows] == ports and rows[0].board == BOARD and rows[2].chip == "esp32c3"
    steps = {state.what for one in states for state in one.values()}
    assert {"waiting", "MicroPython", "client", "done", "failed"} <= steps
    table = tmp_path / "flashed.csv"
    write_csv(table, rows[:2])
    write_csv(table, rows[2:])
    with table.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [one["result"] for one in read] == ["ok", "ok", "wrong_chip", "no_answer"]
    assert tuple(read[0]) == COLUMNS and read[0]["mac"] == rows[0].mac != ""
    assert secret.decode() not in table.read_text()


def test_there_is_a_limit_at_once(secret: bytes) -> None:
    for count in (0, 33):
        with pytest.raises(FlashError):
            run_many([Job(str(number), secret, None) for number in range(count)], lambda _: None)
