"""The drivers against what the makers print: worked examples, tables, test vectors."""

from fractions import Fraction

import pytest

from device_client.sensors import bme280_formulas, ds18b20, gps, nmea, pms5003, sht31
from firmware.simulated.devices import bme280 as bme280_fake
from firmware.simulated.devices import ds18b20 as ds18b20_fake
from firmware.simulated.devices import sht31 as sht31_fake
from firmware.simulated.devices import talkers

from . import cases, oracles

TRIM = bme280_fake.T + bme280_fake.P + bme280_fake.H


def test_bosch_worked_example() -> None:
    """BST-BMP280-DS001 section 3.12. The figure is drawn in floating point: 25.08 Celsius, 100653.27 Pa."""
    fine = bme280_formulas.t_fine(TRIM, 519888)
    assert fine == 128422
    assert bme280_formulas.temperature(fine) == 2508
    # Its code of 4.2.3 gives 25767233 / 256, the printed figure is 25767236 / 256: a fifteenth of the resolution apart.
    pascal = Fraction(bme280_formulas.pressure(TRIM, fine, 415148), 256)
    assert pascal == Fraction(25767233, 256)
    assert abs(pascal - Fraction("100653.27")) < Fraction("0.02")
    assert abs(oracles.exact_pressure(TRIM, fine, 415148) - Fraction("100653.27")) < Fraction("0.02")


def test_bosch_driver_reads_the_example_from_registers() -> None:
    assert cases.said(cases.bme280_driver(bme280_fake.BME280()))[::2] == [2508, 1006533]


def test_bosch_trimming_table() -> None:
    """Table 16: the twelve bits of H4 and H5 share register 0xE5, and are signed."""
    negative = (bme280_fake.T, bme280_fake.P, (255, -32768, 7, -2048, -1, -128))
    registers = bme280_fake.BME280(trimming=negative).registers
    assert bme280_formulas.trimming(bytes(registers[0x88:0xA2]), bytes(registers[0xE1:0xE8]))[12:] == negative[2]


def test_sensirion_crc() -> None:
    """SHT3x-DIS version 5, table 20: CRC(0xBEEF) = 0x92."""
    assert sht31.crc8(b"\xbe\xef") == 0x92
    assert sht31_fake.crc(b"\xbe\xef") == 0x92


def test_sensirion_ends_of_the_scale() -> None:
    """Section 4.13: -45 + 175 * S / (2^16 - 1) Celsius, 100 * S / (2^16 - 1) %RH."""
    assert (sht31.temperature(0), sht31.temperature(0xFFFF)) == (-4500, 13000)
    assert (sht31.humidity(0), sht31.humidity(0xFFFF)) == (0, 10000)


# DS18B20 data sheet 19-7487 revision 6, table 1.
@pytest.mark.parametrize(
    ("celsius", "output"),
    [
        (125, 0x07D0),
        (85, 0x0550),
        (25.0625, 0x0191),
        (10.125, 0x00A2),
        (0.5, 0x0008),
        (0, 0x0000),
        (-0.5, 0xFFF8),
        (-10.125, 0xFF5E),
        (-25.0625, 0xFE6F),
        (-55, 0xFC90),
    ],
)
def test_maxim_table_of_temperatures(celsius: float, output: int) -> None:
    device = ds18b20_fake.DS18B20(raw=0x0500)
    driver = cases.ds18b20_driver(device)
    assert driver.read() == [800_000]
    device.raw = output
    assert driver.read() == [round(celsius * 10_000)]


def test_maxim_crc() -> None:
    """Application Note 27, example 2: the ROM 02 1C B8 01 00 00 00 has the CRC A2."""
    rom = bytes.fromhex("021cb801000000")
    assert (ds18b20.crc8(rom), ds18b20_fake.crc(rom)) == (0xA2, 0xA2)
    assert ds18b20.crc8(rom + b"\xa2") == 0


# What sensors said to others, as published: scratchpads as the Linux kernel prints them.
@pytest.mark.parametrize(
    ("scratchpad", "thousandths"),
    [
        ("2b 01 55 05 7f a5 81 66 cf", 18_687),
        ("b0 01 4b 46 7f ff 10 10 3a", 27_000),
        ("af 01 4b 46 7f ff 01 10 bc", 26_937),
        ("79 01 4b 46 7f ff 07 10 0a", 23_562),
    ],
)
def test_scratchpads_of_real_sensors(scratchpad: str, thousandths: int) -> None:
    assert ds18b20.word(bytes.fromhex(scratchpad)) * 1000 // 16 == thousandths


# Frames of real sensors, from the tests of PyPMS, and what it reads of them (atmospheric PM1, PM2.5, PM10).
@pytest.mark.parametrize(
    ("frame", "values"),
    [
        ("424d001c0005000d00160005000d001602fd00fc001d000f00060006970003c5", [5, 13, 22]),
        ("424d001c00000008000b00000008000b00b40039002e001e00000000970002a1", [0, 8, 11]),
        ("424d001c003e00540060002a003e0050222309a4014a0028000600056700042c", [42, 62, 80]),
    ],
)
def test_plantower_frames(frame: str, values: list[int]) -> None:
    data = bytes.fromhex(frame)
    assert cases.said(cases.pms5003_driver(said=data)[0]) == values
    assert pms5003.first_frame(data) == (data, b"")
    assert pms5003.first_frame(data[:31] + bytes((data[31] ^ 1,)))[0] == b""


# Sentences of manuals and receivers, with their own checksums.
@pytest.mark.parametrize(
    ("line", "position"),
    [
        (
            b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47",
            [48_117_300, 11_516_667, 5454],
        ),
        (b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A", [48_117_300, 11_516_667, None]),
        (b"$GPGGA,132421.00,5231.91448,N,00516.97727,E,1,04,4.6,6.6,M,46.6,M,,*62", [52_531_908, 5_282_955, 66]),
        (b"$GPRMC,222414.00,A,4915.3920,N,12259.8072,W,000.2,242.0,211210,,,A*49", [49_256_533, -122_996_787, None]),
        (b"$GPGGA,132411.60,5231.91297,N,00516.97745,E,0,00,2.3,5.7,M,46.6,M,,*63", None),
    ],
)
def test_nmea_sentences(line: bytes, position: list[int] | None) -> None:
    assert gps.position(nmea.fields(line + b"\r\n")) == position


def test_frames_and_sentences_of_the_fakes_are_those_of_the_manuals() -> None:
    assert talkers.frame(5, 13, 22) == talkers.FRAME
    assert talkers.sentence(talkers.GGA).endswith(b"*47\r\n") and talkers.sentence(talkers.RMC).endswith(b"*6A\r\n")
