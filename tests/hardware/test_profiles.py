"""Every profile that ships is sound; every mistake in one is refused by name of file, key and what is accepted."""

import json
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from device_client.profile_file import chips, profile_of, sensor_kinds
from device_client.profiles import HARDWARE, ProfileError, check_system, compiled, load_profile, profiles
from device_client.toml_table import Table
from device_client.wiring import exclusive

BOARDS = [
    "esp32-c3-devkitm",
    "esp32-devkitc",
    "esp32-s3-devkitc",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "raspberry-pi-zero-2-w",
]


def changed(tmp_path: Path, board: str, old: str, new: str) -> Path:
    """A copy of a profile with one mistake in it."""
    text = (HARDWARE / "boards" / f"{board}.toml").read_text()
    assert old in text
    path = tmp_path / f"{board}.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_six_boards_ship() -> None:
    assert profiles() == BOARDS


@pytest.mark.parametrize("board", BOARDS)
def test_a_profile_is_sound_and_small_when_compiled(board: str) -> None:
    profile = load_profile(board)
    kinds = {one.kind for one in profile.sensors}
    assert kinds == set(sensor_kinds()) - (set() if profile.chip.adc1 else {"adc"})
    bare = compiled(profile)
    assert (bare["sensors"], bare["buses"]) == ([], [])
    for one in profile.sensors:
        made = json.loads(json.dumps(compiled(profile, [one.name])))
        assert [found["name"] for found in made["sensors"]] == [one.name]
        assert [bus["name"] for bus in made["buses"]] == [one.bus]
    rivals = {name for names in exclusive(profile) for name in names[1:]}
    full = compiled(profile, [one.name for one in profile.sensors if one.name not in rivals])
    assert len(json.dumps(full, separators=(",", ":"))) < 1100
    assert profile.bits == (0 if profile.kind == "esp32" else 64)


def test_what_a_board_gets() -> None:
    assert compiled(load_profile("esp32-devkitc"), ["bme280", "sht31"]) == {
        "board": "esp32-devkitc",
        "kind": "esp32",
        "chip": "esp32",
        "pins": {"led": 2, "button": 0},
        "led_kind": "plain",
        "led_active": 1,
        "watchdog_s": 60,
        "deep_sleep": False,
        "buses": [{"name": "i2c", "kind": "i2c", "id": 0, "pins": {"sda": 21, "scl": 22}, "frequency": 100_000}],
        "sensors": [
            {"name": "bme280", "kind": "bme280", "bus": "i2c", "address": 0x76},
            {"name": "sht31", "kind": "sht31", "bus": "i2c", "address": 0x44},
        ],
    }


@pytest.mark.parametrize(
    ("board", "sensors", "deep_sleep", "said"),
    [
        ("esp32-devkitc", ["bmp180"], False, "esp32-devkitc: no sensor bmp180; this profile has: bme280, sht31"),
        ("esp32-c3-devkitm", ["pms5003", "gps"], False, "gps and pms5003 both need the bus uart1; enable one"),
        ("raspberry-pi-5", ["gps", "pms5003"], False, "pms5003 and gps both need the bus uart; enable one"),
        ("esp32-devkitc", ["pulse"], True, "pulse cannot count in deep sleep"),
        ("raspberry-pi-5", [], True, "raspberry-pi-5: a pi has no deep sleep"),
    ],
)
def test_what_cannot_be_enabled(board: str, sensors: list[str], deep_sleep: bool, said: str) -> None:
    with pytest.raises(ProfileError, match=re.escape(said)):
        compiled(load_profile(board), sensors, deep_sleep)


def test_what_can_be_enabled_together() -> None:
    made = compiled(load_profile("esp32-devkitc"), ["pms5003", "gps", "ds18b20", "ds18b20"], True)
    assert [one["name"] for one in made["sensors"]] == ["pms5003", "gps", "ds18b20"]
    assert made["deep_sleep"] is True


MISTAKES = [
    ("esp32-devkitc", "button = 0", "button = 2", "pin 2 is used twice: by pins.led and by pins.button"),
    ("esp32-devkitc", "data = 4", "data = 22", "pin 22 is used twice: by bus i2c scl and by bus onewire data"),
    ("esp32-devkitc", "data = 4", "data = 6", "bus onewire data: pin 6 is forbidden: the flash"),
    ("esp32-devkitc", "data = 4", "data = 20", "bus onewire data: a ESP32 has no pin 20"),
    ("esp32-devkitc", "data = 4", "data = 12", "pin 12 decides how the chip starts"),
    ("esp32-devkitc", "data = 4", "data = 3", "pin 3 is forbidden: the console over USB needs it"),
    ("esp32-devkitc", "data = 4", "data = 35", "bus onewire data: pin 35 can only read"),
    ("esp32-devkitc", "tx = 25", "tx = 35", "bus uart1 tx: pin 35 can only read"),
    ("esp32-devkitc", "led = 2 ", "led = 39 ", "pins.led: pin 39 can only read"),
    ("esp32-devkitc", "in = 34", "in = 13", "pin 13 cannot measure a voltage; pins with ADC1: 32, 33, 34"),
    ("esp32-devkitc", "in = 34", "in = 37", "bus adc in: pin 37 is not on the board's header"),
    ("esp32-devkitc", "in = 27", "in = 35", "pin 35 has no pull-up"),
    ("esp32-devkitc", "id = 1", "id = 0", "bus uart1: id is 0; it must be from 1 to 2"),
    ("esp32-devkitc", "id = 1", "id = 2", "buses uart1 and uart2 have the same id 2"),
    ("esp32-devkitc", 'kind = "gps"', 'kind = "radar"', "sensors[4].kind is 'radar'; it must be one of bme280"),
    ("esp32-devkitc", 'bus = "uart2"', 'bus = "uart3"', "sensor gps: there is no bus uart3; buses: i2c, uart1"),
    ("esp32-devkitc", 'bus = "uart2"', 'bus = "adc"', "a gps needs a bus of kind uart, and adc is of kind adc"),
    ("esp32-devkitc", 'name = "sht31"', 'name = "bme280"', "two sensors are named bme280"),
    ("esp32-devkitc", 'name = "uart2"', 'name = "uart1"', "two buses are named uart1"),
    ("esp32-devkitc", "0x76", "0x80", "sensors[0].address is 128; it must be an integer from 8 to 119"),
    ("esp32-devkitc", "0x76", "0x44", "sensors[0].address is 0x44; a bme280 has one of 0x76, 0x77"),
    ("esp32-devkitc", "address = 0x76", "", "sensors[0].address is missing"),
    (
        "esp32-devkitc",
        "timeout_s = 60",
        'timeout_s = "60"',
        "watchdog.timeout_s is '60'; it must be an integer from 10",
    ),
    (
        "esp32-devkitc",
        "timeout_s = 60",
        "timeout_s = true",
        "watchdog.timeout_s is True; it must be an integer from 10",
    ),
    ("esp32-devkitc", "deep = false", "deep = 0", "sleep.deep is 0; it must be true or false"),
    ("esp32-devkitc", "flash_mb = 4", "flash_mb = 4\nflash = 4", "flash is unknown; known here: board, buses"),
    ("esp32-devkitc", 'chip = "esp32"', 'chip = "esp8266"', "chip is 'esp8266'; it must be one of esp32, esp32s3"),
    ("esp32-devkitc", 'board = "esp32-devkitc"', 'board = "other"', "it must be the name of the file"),
    ("esp32-devkitc", "[pins]", "pins]", "Expected '='"),
    ("esp32-devkitc", "sda = 21, scl = 22", "sda = 21", "buses[0].pins.scl is missing"),
    ("esp32-devkitc", "frequency = 100_000", "frequency = 4_000_000", "it must be an integer from 10000 to 400000"),
    ("esp32-s3-devkitc", "in = 4", "in = 11", "pin 11 cannot measure a voltage"),
    ("esp32-s3-devkitc", "in = 5 ", "in = 19 ", "pin 19 is forbidden: the USB port"),
    ("esp32-c3-devkitm", "data = 10", "data = 2", "pin 2 decides how the chip starts"),
    ("raspberry-pi-4", "data = 4", "data = 1", "pin 1 is forbidden: the EEPROM of add-on boards"),
    ("raspberry-pi-4", "data = 4", "data = 28", "a BCM2711 has no pin 28"),
    ("raspberry-pi-4", 'kind = "pulse"', 'kind = "adc"', "pin 17 cannot measure a voltage; a BCM2711 has no ADC"),
    ("raspberry-pi-4", "bits = 64", "bits = 32", "os.bits is 32; it must be an integer from 64 to 64"),
    ("raspberry-pi-4", "deep = false", "deep = true", "a pi has no deep sleep"),
]


@pytest.mark.parametrize(("board", "old", "new", "said"), MISTAKES, ids=[f"{one[0]}-{one[3][:40]}" for one in MISTAKES])
def test_a_mistake_is_refused(tmp_path: Path, board: str, old: str, new: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        load_profile(changed(tmp_path, board, old, new))
    assert str(caught.value).startswith(f"{board}.toml: ")
    assert said in str(caught.value)


def test_two_sensors_with_one_address_on_one_bus(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        "esp32-devkitc",
        "[[sensors]]",
        "[[sensors]]\n" + 'name = "x"\nkind = "bme280"\nbus = "i2c"\naddress = 0x76\n\n[[sensors]]',
    )
    with pytest.raises(ProfileError, match="sensors x and bme280 have the same address 0x76 on i2c"):
        load_profile(path)


def test_a_32_bit_system_is_told_what_to_install() -> None:
    for board in BOARDS:
        check_system(load_profile(board))
    with pytest.raises(
        ProfileError, match=r"raspberry-pi-4: this system has 32 bits; install Raspberry Pi OS Lite \(64"
    ):
        check_system(load_profile("raspberry-pi-4"), 32)


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "attic.toml"
    text = (HARDWARE / "boards/esp32-s3-devkitc.toml").read_text()
    path.write_text(text.replace('board = "esp32-s3-devkitc"', 'board = "attic"').replace("led = 38", "led = 47"))
    assert compiled(load_profile(path))["pins"]["led"] == 47


def test_an_unknown_board_is_told_what_is_known() -> None:
    with pytest.raises(ProfileError, match="esp8266: no such board; known: esp32-c3-devkitm, esp32-devkitc"):
        load_profile("esp8266")


def test_chips_agree_with_themselves() -> None:
    for chip in chips().values():
        for some in (chip.flash, chip.console, chip.usb, chip.strapping, chip.input_only, chip.adc1):
            assert some <= chip.pins, chip.name


def test_headers_name_pins_of_the_chip_and_each_position_once() -> None:
    for board in BOARDS:
        profile = load_profile(board)
        labels = [label for label, _ in profile.header]
        positions = [position for _, position in profile.header]
        gpios = [int(label[4:]) for label in labels if label.startswith("GPIO")]
        assert len(set(positions)) == len(positions)
        assert len(set(gpios)) == len(gpios) and set(gpios) <= profile.chip.pins
        assert {"3V3", "5V", "GND"} <= set(labels)


def test_the_wheel_carries_the_profiles() -> None:
    project = tomllib.loads((HARDWARE.parent / "pyproject.toml").read_text())
    assert "hardware" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


WRONG: list[Any] = [
    "",
    "x" * 200,
    "\x00",
    0,
    -1,
    10**30,
    1.5,
    float("nan"),
    True,
    [],
    {},
    [[]],
    [{}],
    [["a"]],
    {"a": 1},
]


def places(values: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a file, tables and lists among them."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in pairs:
        yield (*before, key)
        yield from places(value, (*before, key))


def test_whatever_stands_in_a_file_is_refused_by_name() -> None:
    """Every value of every profile, in turn replaced by each wrong one and left out: sound, or a ProfileError."""
    refused = sound = 0
    for board in ("esp32-devkitc", "raspberry-pi-5"):
        whole = tomllib.loads((HARDWARE / "boards" / f"{board}.toml").read_text())
        for *way, last in places(whole):
            for wrong in [*WRONG, None]:
                values = deepcopy(whole)
                at = values
                for key in way:
                    at = at[key]
                if wrong is None:
                    del at[last]
                else:
                    at[last] = wrong
                said = ""
                try:
                    compiled(profile_of(Table(f"{board}.toml", "", values)))
                except ProfileError as error:
                    said = str(error)
                    refused += 1
                sound += not said
                assert not said or (said.startswith(f"{board}.toml: ") and len(said) < 400)
    assert refused > 3000 and sound < refused / 10


def test_a_file_that_never_ends_is_not_read(tmp_path: Path) -> None:
    path = changed(tmp_path, "esp32-devkitc", "[pins]", "#" * 70_000 + "\n[pins]")
    with pytest.raises(ProfileError, match="more than 65536 bytes"):
        load_profile(path)
    with pytest.raises(ProfileError, match="No such file"):
        load_profile(tmp_path / "attic.toml")
