"""Any registers, any words, any bytes: the value is the oracle's, or one of the named refusals."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from device_client.sensors import bme280_formulas, ds18b20, gps, nmea, pms5003, sht31
from device_client.sensors.faults import Absent, Garbage
from firmware.simulated.devices import bme280 as bme280_fake
from firmware.simulated.devices import ds18b20 as ds18b20_fake
from firmware.simulated.devices import talkers, wires

from . import cases, oracles

WORD = st.integers(0, 0xFFFF)
RAW_20 = st.integers(0, 0xFFFFF)
REGISTERS = st.tuples(st.binary(min_size=26, max_size=26), st.binary(min_size=7, max_size=7))
# A sensor of a room, as published by its owner: what trimming values look like.
TRIM = (28224, 26110, 50, 37298, -10829, 3024, 11341, -10, -7, 9900, -10230, 4285, 75, 357, 0, 322, 0, 30)


@given(REGISTERS, RAW_20, RAW_20, WORD)
def test_formulas_are_those_of_a_processor(registers: tuple[bytes, bytes], t: int, p: int, h: int) -> None:
    """Whatever stands in the registers, and however often it overflows."""
    trim = bme280_formulas.trimming(*registers)
    fine = bme280_formulas.t_fine(trim, t)
    assert fine == oracles.c_t_fine(trim, t)
    assert bme280_formulas.pressure(trim, fine, p) == oracles.c_pressure(trim, fine, p)
    assert bme280_formulas.humidity(trim, fine, h) == oracles.c_humidity(trim, fine, h)


def test_c_divides_towards_zero() -> None:
    """One digit in 2^8 of negative quotients: too rare for a few hundred examples."""
    noise = cases.pseudo_random(1)
    for _ in range(4_000):
        trim = bme280_formulas.trimming(bytes(next(noise) for _ in range(26)), bytes(7))
        raw, fine = next(noise) << 12 | next(noise) << 4, next(noise) << 10
        assert bme280_formulas.pressure(trim, fine, raw) == oracles.c_pressure(trim, fine, raw)


@given(st.integers(300_000, 750_000), st.integers(150_000, 600_000), st.integers(15_000, 45_000))
def test_integers_are_as_good_as_fractions(t: int, p: int, h: int) -> None:
    """Within what the sensor resolves: 0.01 Celsius, 0.18 Pa, 0.008 %RH (table 2, 3 and 4), and its last digit."""
    fine, celsius = oracles.exact_temperature(TRIM, t)
    ours = bme280_formulas.t_fine(TRIM, t)
    assert abs(Fraction(bme280_formulas.temperature(ours), 100) - celsius) <= Fraction(2, 100)
    pascal = Fraction(bme280_formulas.pressure(TRIM, ours, p), 256)
    assert abs(pascal - oracles.exact_pressure(TRIM, ours, p)) <= Fraction(18, 100)
    percent = Fraction(bme280_formulas.humidity(TRIM, ours, h), 1024)
    assert abs(percent - oracles.exact_humidity(TRIM, ours, h)) <= Fraction(8, 1000) + Fraction(1, 1024)
    assert abs(ours - fine) <= 40


@given(st.tuples(RAW_20, RAW_20, WORD), REGISTERS)
def test_a_bme280_gives_values_in_its_range_or_says_why_not(
    raw: tuple[int, int, int], registers: tuple[bytes, bytes]
) -> None:
    device = bme280_fake.BME280(raw)
    device.registers[0x88:0xA2], device.registers[0xE1:0xE8] = registers
    said = cases.said(cases.bme280_driver(device))
    if isinstance(said, str):
        assert said.startswith(("sensor_out_of_range: ", "sensor_garbage: "))
    else:
        assert -4000 <= said[0] <= 8500 and 0 <= said[1] <= 10_000 and 300_000 <= said[2] <= 1_100_000


@given(WORD)
def test_sht31_is_the_nearest_hundredth(raw: int) -> None:
    assert sht31.temperature(raw) == oracles.nearest(-45 + Fraction(175 * raw, 65_535), 2)
    assert sht31.humidity(raw) == oracles.nearest(Fraction(100 * raw, 65_535), 2)


@given(st.binary(max_size=12), st.integers(0, 255))
def test_crcs_are_those_of_shift_registers(data: bytes, other: int) -> None:
    assert ds18b20.crc8(data) == ds18b20_fake.crc(data)
    assert ds18b20.crc8(data + bytes((ds18b20.crc8(data),))) == 0


@given(st.integers(-55 * 16, 125 * 16), st.sampled_from([9, 10, 11, 12]))
def test_ds18b20_is_exact(sixteenths: int, resolution: int) -> None:
    device = ds18b20_fake.DS18B20(0x0500)
    driver = cases.ds18b20_driver(device)
    driver.read()
    device.raw, device.resolution = sixteenths & 0xFFFF, resolution
    step = 1 << (12 - resolution)
    expected = sixteenths // step * step * 625
    assert driver.read() == [expected]


@given(st.binary(min_size=9, max_size=9))
def test_any_scratchpad_is_a_value_or_a_refusal(scratchpad: bytes) -> None:
    for data in (scratchpad, scratchpad[:8] + bytes((ds18b20.crc8(scratchpad[:8]),))):
        try:
            raw = ds18b20.word(data)
        except (Absent, Garbage):
            continue
        assert -0x8000 <= raw < 0x8000


@given(st.binary(max_size=80), WORD, WORD, WORD, st.binary(max_size=80))
def test_a_frame_is_found_among_noise(before: bytes, pm1: int, pm2_5: int, pm10: int, behind: bytes) -> None:
    frame, rest = pms5003.first_frame(before + talkers.frame(pm1, pm2_5, pm10) + behind)
    assert sum(frame[:30]) == int.from_bytes(frame[30:], "big")
    if pms5003.HEAD[:1] not in before:
        assert frame[10:16] == b"".join(value.to_bytes(2, "big") for value in (pm1, pm2_5, pm10))
    assert len(rest) <= len(behind)


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_what_is_kept_of_noise_has_a_limit(pieces: list[bytes]) -> None:
    held = b""
    for piece in pieces:
        _, held = pms5003.first_frame(held + piece)
        assert len(held) < pms5003.FRAME_BYTES


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_on_a_uart_end(data: bytes) -> None:
    for make, wait_ms in ((cases.pms5003_driver, 3_000), (cases.gps_driver, 2_500)):
        driver, device, clock = make()
        device.noise = data
        said = cases.said(driver)
        assert isinstance(said, list) or said.startswith(("sensor_garbage: ", "sensor_absent: "))
        assert clock.now <= wait_ms + 300


class Endless:
    """More bytes than any time lets through."""

    def __init__(self) -> None:
        self.taken = 0

    def any(self) -> int:
        return 1 << 30

    def read(self, length: int) -> bytes:
        self.taken += length
        return b"\x42" * length


def test_endless_noise_ends_in_a_bounded_number_of_bytes() -> None:
    for driver in (pms5003.Driver, gps.Driver):
        port = Endless()
        clock = wires.Clock()
        said = cases.said(driver(port, {}, clock))
        assert isinstance(said, str) and said.startswith("sensor_garbage")
        assert port.taken <= 64 * 128 + 4_096
        assert clock.now < 1_000  # of 2,500 at least: bytes end it, not time


@given(st.integers(0, 89), st.integers(0, 59), st.integers(0, 99_999), st.sampled_from([b"N", b"S"]))
def test_positions_are_the_nearest_millionth(degrees: int, minutes: int, part: int, half: bytes) -> None:
    text = b"%02d%02d.%05d" % (degrees, minutes, part)
    exact = degrees + (minutes + Fraction(part, 100_000)) / 60
    found = nmea.degrees(text, half, b"NS", 90)
    assert found == oracles.nearest(exact, 6) * (1 if half == b"N" else -1)


@given(st.binary(max_size=100))
def test_any_line_is_fields_or_nothing(line: bytes) -> None:
    assert nmea.fields(line) == [] or line.strip()[-3:-2] == b"*"
    for text in (line, b"$" + line):
        position = gps.position(nmea.fields(text))
        assert position is None or len(position) == 3


@given(st.lists(st.binary(max_size=12), min_size=10, max_size=14), st.sampled_from([b"GPGGA", b"GNRMC"]))
def test_any_fields_with_a_right_checksum_are_a_position_or_none(found: list[bytes], head: bytes) -> None:
    position = gps.position([head[2:], *found])
    assert position is None or (abs(position[0] or 0) <= 90_000_000 and abs(position[1] or 0) <= 180_000_000)
