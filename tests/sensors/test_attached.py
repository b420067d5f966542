"""Sensors that fail: the others go on, the notices say which channels, and what comes back is read again."""

from typing import Any

import pytest

from device_client.core import notices
from device_client.core.statement import MISSING
from device_client.sensors import attached, waits
from device_client.sensors.attached import Attached
from firmware.simulated import onewire
from firmware.simulated.devices import bme280 as bme280_fake
from firmware.simulated.devices import ds18b20 as ds18b20_fake
from firmware.simulated.devices import talkers

from . import cases

ABSENT, STUCK = notices.SENSOR_ABSENT, notices.SENSOR_STUCK
OUT_OF_RANGE, GARBAGE = notices.SENSOR_OUT_OF_RANGE, notices.SENSOR_GARBAGE
NOTHING_WRONG = [(ABSENT, 0), (STUCK, 0), (OUT_OF_RANGE, 0), (GARBAGE, 0)]
BME280, SHT31, DUST, SOIL, LEVEL = 0b111, 0b11 << 3, 0b111 << 5, 1 << 8, 1 << 9
GOOD = [2508, 5350, 1006533, 2500, 5000, 5, 13, 22, 250_625, 500]


@pytest.fixture
def wired() -> cases.Wired:
    found = cases.Wired()
    assert found.read() == GOOD
    assert found.notices == NOTHING_WRONG  # what another boot said may be over
    found.notices = []
    return found


def lost(values: list[int]) -> int:
    return sum(1 << channel for channel, value in enumerate(values) if value == MISSING)


def assert_one_fault(wired: cases.Wired, code: int, channels: int) -> None:
    assert lost(wired.read()) == channels
    assert wired.notices == [(code, channels)]
    assert lost(wired.read()) == channels
    assert wired.notices == [(code, channels)]  # told once


def assert_well_again(wired: cases.Wired, code: int) -> None:
    assert wired.read() == GOOD
    assert wired.notices[-1] == (code, 0) and not wired.attached.faults


def test_what_is_not_on_the_bus(wired: cases.Wired) -> None:
    for device, channels in ((wired.bme280, BME280), (wired.sht31, SHT31), (wired.dust, DUST), (wired.soil, SOIL)):
        device.present = False
        wired.notices = []
        assert_one_fault(wired, ABSENT, channels)
        device.present = True
        assert_well_again(wired, ABSENT)


def test_a_measurement_without_an_end(wired: cases.Wired) -> None:
    wired.bme280.polls = 1 << 30
    assert_one_fault(wired, ABSENT, BME280)
    wired.bme280.polls, wired.bme280._busy = 1, 0
    assert_well_again(wired, ABSENT)


def test_another_chip_at_the_address(wired: cases.Wired) -> None:
    wired.bme280.present = False
    wired.read()
    wired.bme280.present = True
    wired.bme280.registers[0xD0] = 0x58
    wired.notices = []
    wired.read()
    assert wired.notices == [(ABSENT, 0), (GARBAGE, BME280)]
    assert wired.attached.faults == {"bme280": "sensor_garbage: chip id 0x58 is no BME280"}
    wired.bme280.registers[0xD0] = 0x60
    assert_well_again(wired, GARBAGE)


def test_a_bus_that_reads_ones() -> None:
    """An I2C bus without a sensor that acknowledges by mistake: all registers 0xFF."""
    device = bme280_fake.BME280()
    device.registers[:] = b"\xff" * 256
    assert cases.said(cases.bme280_driver(device)) == "sensor_garbage: chip id 0xff is no BME280"
    device.registers[0xD0] = 0x60
    assert cases.said(cases.bme280_driver(device)) == "sensor_garbage: its trimming is empty"


def test_wrong_crc(wired: cases.Wired) -> None:
    wired.sht31.spoil = 0x01
    assert_one_fault(wired, GARBAGE, SHT31)
    wired.sht31.spoil, wired.soil.spoil = 0, 0x80
    wired.notices = []
    assert_one_fault(wired, GARBAGE, SOIL)
    wired.soil.spoil = 0
    assert_well_again(wired, GARBAGE)


def test_out_of_range(wired: cases.Wired) -> None:
    wired.sht31.raw = (0xFFFF, 0x8000)  # 130 Celsius
    wired.level.microvolt = 5_000_000
    assert_one_fault(wired, OUT_OF_RANGE, SHT31 | LEVEL)
    wired.sht31.raw, wired.level.microvolt = (0x6666, 0x8000), 500_000
    assert_well_again(wired, OUT_OF_RANGE)


def test_one_wire_held_low(wired: cases.Wired) -> None:
    onewire.short(cases.PIN)
    assert_one_fault(wired, GARBAGE, SOIL)
    onewire.short(cases.PIN, False)
    assert_well_again(wired, GARBAGE)


def test_a_sensor_that_lost_its_power(wired: cases.Wired) -> None:
    """85 Celsius is what a DS18B20 says before its first conversion."""
    wired.soil.raw = 0x0550
    assert_one_fault(wired, GARBAGE, SOIL)
    for raw in (0x0191, 0x0500):
        wired.soil.raw = raw
        wired.read()
    wired.soil.raw = 0x0550
    assert wired.read()[8] == 850_000  # on the way up from 80


def test_two_sensors_where_one_is_meant() -> None:
    other = ds18b20_fake.DS18B20(rom=b"\x28" + b"\x07" * 6)
    said = cases.said(cases.ds18b20_driver(ds18b20_fake.DS18B20(), other))
    assert said == "sensor_garbage: 2 sensors on one bus; one is meant"


def test_noise_on_a_uart(wired: cases.Wired) -> None:
    wired.dust.noise = b"\x42\x4d\x00\x1c" + bytes(range(40))
    before_ms = wired.clock.now
    assert_one_fault(wired, GARBAGE, DUST)
    assert wired.clock.now - before_ms < 2 * 5_000
    wired.dust.noise = b""
    assert_well_again(wired, GARBAGE)


def test_half_a_frame_and_the_rest(wired: cases.Wired) -> None:
    wired.dust.said = talkers.FRAME[7:] + talkers.FRAME[:7]  # begins anywhere
    wired.read()
    wired.dust.said = talkers.FRAME
    assert wired.read() == GOOD


def test_old_frames_are_not_read() -> None:
    """A board's buffer keeps the oldest bytes: they are of the time before this reading."""
    driver, device, clock = cases.pms5003_driver(said=talkers.frame(1, 1, 1))
    assert driver.read() == [1, 1, 1]
    clock.sleep_ms(60_000)
    driver._bus.any()
    device.said = talkers.frame(9, 9, 9)
    assert driver.read() == [9, 9, 9]


def test_a_gps_without_a_fix_and_without_a_wire() -> None:
    no_fix = talkers.sentence(b"GPGGA,123519,,,,,0,00,,,M,,M,,") + talkers.sentence(b"GPRMC,123519,V,,,,,,,230394,,")
    assert cases.said(cases.gps_driver(said=no_fix)[0]) == "sensor_absent: no fix"
    driver, device, _ = cases.gps_driver()
    device.present = False
    assert cases.said(driver) == "sensor_absent: it says nothing"
    device.present, device.noise = True, b"$GPGGA,123519,4807.038,N*00\r\n"
    assert cases.said(driver) == "sensor_garbage: no sentence among the bytes"
    device.noise = talkers.sentence(talkers.RMC)
    assert cases.said(driver) == [48_117_300, 11_516_667, None]


def test_stuck_is_told_and_still_reported(wired: cases.Wired) -> None:
    for _ in range(attached.STUCK_READS - 2):
        wired.bme280.raw = tuple(value ^ 64 for value in wired.bme280.raw)
        wired.soil.raw ^= 1
        wired.read()
    assert wired.notices == []
    wired.bme280.raw, wired.soil.raw = (415148 ^ 64, 519888, 30281 ^ 64), 0x0192  # only its temperature stays
    assert wired.read()[3:5] == [2500, 5000]
    assert wired.notices == [(STUCK, SHT31)]  # PM and voltages may stay as they are
    wired.sht31.raw = (0x6700, 0x8100)
    wired.bme280.raw, wired.soil.raw = (415148, 519888 ^ 512, 30281), 0x0191
    wired.read()
    assert wired.notices[-1] == (STUCK, 0)


class Inside:
    channels = (("heap_free", "B", 0), ("uptime", "s", 0), ("chip_temperature", "Cel", 0))

    def read(self) -> list[int]:
        return [1, 2, 3]


def about(*kinds: str) -> dict[str, Any]:
    sensors = [{"name": kind, "kind": kind, "bus": kind, "address": 0} for kind in kinds]
    return {"buses": [{"name": kind, "kind": kind} for kind in kinds], "sensors": sensors}


def test_internal_readings_alone_tell_nothing() -> None:
    told: list[Any] = []
    internal = Attached(about(), lambda bus: None, Inside())
    assert internal.read(0, lambda code, value: told.append((code, value))) == [1, 2, 3]
    assert [channel[0] for channel in internal.channels] == ["heap_free", "uptime", "chip_temperature"]
    assert told == [] and not internal.private


def test_every_sensor_at_once_leaves_room_for_two_internal_channels() -> None:
    everything = Attached(about(*attached.KINDS), lambda bus: cases.Counted(0), Inside())
    names = [channel[0] for channel in everything.channels]
    assert names[:3] == ["heap_free", "uptime", "bme280_temperature"] and len(names) == 16 == len(set(names))
    assert max(map(len, names)) <= 24 and everything.private


def test_only_a_gps_makes_a_device_private() -> None:
    assert [kind for kind in attached.KINDS if Attached(about(kind), lambda bus: None).private] == ["gps"]


@pytest.mark.parametrize(
    ("sensors", "reason"),
    [
        ([("x", "thermopile")], "x: no driver for a thermopile"),
        ([("a-very-long-name", "bme280")], "a_very_long_name_temperature: a channel's name has at most 24"),
        ([("Wohnung", "sht31")], "Wohnung_temperature: a channel's name has at most 24 characters of a-z"),
        (
            [("a", "bme280"), ("b", "bme280"), ("c", "bme280"), ("d", "gps"), ("e", "pms5003"), ("f", "sht31")],
            "17 channels",
        ),
    ],
)
def test_what_cannot_be_reported_is_refused_at_the_start(sensors: list[tuple[str, str]], reason: str) -> None:
    given = {
        "buses": [{"name": "bus", "kind": "i2c"}],
        "sensors": [{"name": name, "kind": kind, "bus": "bus", "address": 0} for name, kind in sensors],
    }
    with pytest.raises(ValueError, match=reason):
        Attached(given, lambda bus: None)


def test_time_on_this_interpreter() -> None:
    before_ms = waits.ticks_ms()
    waits.sleep_ms(0)
    assert 0 <= waits.ticks_diff(waits.ticks_ms(), before_ms) < 5_000
