"""The sensors of a Raspberry Pi, from its profile to the readings."""

from pathlib import Path
from typing import Any

import pytest

from device_client import buses
from device_client.core import notices
from device_client.core.statement import MISSING
from device_client.profiles import HARDWARE, load_profile, profiles
from device_client.sensors.attached import KINDS
from device_client.sensors.host import HostSensor
from device_client.sensors.wired import Wired, sensor_of
from firmware.simulated.devices import bme280 as bme280_fake
from firmware.simulated.devices import sht31 as sht31_fake
from firmware.simulated.devices import wires


def test_without_a_board_it_is_the_machine_itself() -> None:
    assert isinstance(sensor_of("", ()), HostSensor)
    assert isinstance(sensor_of("raspberry-pi-5", ()), HostSensor)


def test_sensors_of_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = {0x76: bme280_fake.BME280(), 0x44: sht31_fake.SHT31()}
    monkeypatch.setattr(buses, "opened", lambda bus: wires.I2C(devices))
    sensor = sensor_of("raspberry-pi-5", ("bme280", "sht31"))
    assert isinstance(sensor, Wired) and not sensor.private
    told: list[Any] = []
    sensor.notice = lambda code, channels: told.append((code, channels))
    inside = len(HostSensor().channels)
    assert sensor.channels[inside:][0] == ("bme280_temperature", "Cel", -2)
    assert sensor.read()[inside:] == [2508, 5350, 1006533, 2500, 5000]
    devices[0x76].present = False
    assert sensor.read()[inside:] == [MISSING] * 3 + [2500, 5000]
    assert told[-1] == (notices.SENSOR_ABSENT, 0b111 << inside)
    assert list(sensor.faults) == ["bme280"]


def test_every_kind_of_the_profiles_has_a_driver() -> None:
    assert {sensor.kind for board in profiles() for sensor in load_profile(board).sensors} == set(KINDS)


def test_a_gps_makes_the_device_private(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buses, "opened", lambda bus: None)
    sensor = sensor_of("raspberry-pi-5", ("gps",))
    assert isinstance(sensor, Wired) and sensor.private


@pytest.mark.parametrize(
    ("board", "names", "reason"),
    [
        ("", ("bme280",), "sensors bme280 need a board"),
        ("raspberry-pi-5", ("adc",), "raspberry-pi-5: no sensor adc; this profile has: bme280"),
        ("raspberry-pi-9", ("bme280",), "raspberry-pi-9: no such board; known: esp32"),
        ("esp32-devkitc", ("bme280",), "flash it with edgetally flash"),
        ("raspberry-pi-5", ("gps", "pms5003"), "both need the bus uart"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(board: str, names: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        sensor_of(board, names)


def test_a_profile_of_ones_own_with_an_adc_on_a_pi_is_refused(tmp_path: Path) -> None:
    text = (HARDWARE / "boards" / "raspberry-pi-5.toml").read_text()
    bus = '[[buses]]\nname = "adc"\nkind = "adc"\npins = { in = 4 }\n\n'
    own = tmp_path / "raspberry-pi-5.toml"
    own.write_text(text.replace("[[sensors]]", bus + "[[sensors]]", 1).replace("data = 4", "data = 22"))
    with pytest.raises(ValueError, match="has no ADC"):
        sensor_of(str(own), ("bme280",))
