"""The buses of a Pi: a pseudo terminal, a folder as the kernel makes it, gpiozero's simulated pins; and of a board."""

import builtins
import os
import pty
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_client import buses
from device_client.sensors import ds18b20, pms5003
from device_client.sensors.faults import Garbage
from firmware import buses as board_buses
from firmware.simulated.devices import talkers, wires

from . import cases

ROM = "28-0000030201ab"
SCRATCHPAD = "b0 01 4b 46 7f ff 10 10 3a"


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    sensor, port = pty.openpty()
    yield sensor, os.ttyname(port)
    os.close(sensor)
    os.close(port)


def arrived(port: buses.Uart, count: int) -> None:
    """The kernel hands bytes over in its own time."""
    for _ in range(50):
        if port.any() >= count:
            break
        select.select([port._opened()], [], [], 0.1)
    assert port.any() == count


def test_a_serial_port_gives_bytes_as_they_are_and_never_waits(terminal: tuple[int, str]) -> None:
    sensor, path = terminal
    port = buses.opened({"name": "uart", "kind": "uart", "id": path, "frequency": 9600, "pins": {}})
    assert port.any() == 0 and port.read(32) is None
    data = b"\r\n\x00\x03\x04\x11\x13\xff\x7f" + talkers.FRAME  # what a terminal would take as its own
    os.write(sensor, data)
    arrived(port, len(data))
    assert port.read(5) + port.read(100) == data
    port.close()


def test_a_driver_on_a_serial_port(terminal: tuple[int, str]) -> None:
    sensor, path = terminal
    port = buses.Uart(path, 9600)

    class Clock(wires.Clock):
        def sleep_ms(self, ms: int) -> None:
            super().sleep_ms(ms)
            os.write(sensor, talkers.FRAME)

    assert port.any() == 0
    os.write(sensor, talkers.frame(1, 2, 3))  # old
    arrived(port, 32)
    assert pms5003.Driver(port, {}, Clock()).read() == [5, 13, 22]
    port.close()


def test_a_port_that_is_not_there_is_an_absent_sensor_and_comes_back(tmp_path: Path, terminal: tuple[int, str]) -> None:
    path = tmp_path / "ttyUSB0"
    port = buses.Uart(str(path), 9600)
    for _ in range(2):
        with pytest.raises(OSError, match="No such file"):
            port.any()
    path.symlink_to(terminal[1])
    assert port.any() == 0
    port.close()
    path.unlink()
    path.write_bytes(b"no terminal")
    with pytest.raises(OSError, match="ioctl"):
        port.any()


def slave(folder: Path, text: str) -> Path:
    (folder / ROM).mkdir(exist_ok=True)
    (folder / ROM / "w1_slave").write_text(text)
    return folder


def test_the_kernels_one_wire(tmp_path: Path) -> None:
    for other in ("w1_bus_master1", "10-000802824e58", "28-not-a-number"):
        (tmp_path / other).mkdir()
    assert buses.OneWire(tmp_path).scan() == []
    slave(tmp_path, f"{SCRATCHPAD} : crc=3a YES\n{SCRATCHPAD} t=27000\n")
    driver = ds18b20.Driver(buses.OneWire(tmp_path), {}, wires.Clock())
    assert driver.read() == [270_000]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("b1 01 4b 46 7f ff 10 10 3a : crc=3a NO\n", "sensor_garbage: wrong CRC"),
        ("00 00 00 00 00 00 00 00 00 : crc=00 YES\n", "sensor_garbage: the bus is held low"),
        ("ff ff ff ff ff ff ff ff ff : crc=c9 NO\n", "sensor_absent: it does not answer"),
        ("", "sensor_garbage: wrong CRC"),
        ("x" * 9 + " : crc", "sensor_garbage: wrong CRC"),
        ("1ff " * 9 + ": crc", "sensor_garbage: wrong CRC"),
    ],
)
def test_what_the_kernel_says_of_a_broken_wire(tmp_path: Path, text: str, said: str) -> None:
    driver = ds18b20.Driver(buses.OneWire(slave(tmp_path, text)), {}, wires.Clock())
    assert cases.said(driver) == said
    slave(tmp_path, f"{SCRATCHPAD} : crc=3a YES\n")
    assert driver.read() == [270_000]


def test_a_sensor_that_the_kernel_has_lost(tmp_path: Path) -> None:
    driver = ds18b20.Driver(buses.OneWire(slave(tmp_path, f"{SCRATCHPAD} : crc=3a YES\n")), {}, wires.Clock())
    driver.read()
    (tmp_path / ROM / "w1_slave").unlink()
    (tmp_path / ROM).rmdir()
    assert cases.said(driver) == "OSError 2"
    assert cases.said(driver) == "sensor_absent: no sensor on the bus"


def test_pulses_on_a_simulated_pin() -> None:
    gpiozero = pytest.importorskip("gpiozero")
    from gpiozero.pins.mock import MockFactory

    gpiozero.Device.pin_factory = MockFactory()
    try:
        counter = buses.opened({"name": "in", "kind": "pulse", "pins": {"in": 17}})
        pin = gpiozero.Device.pin_factory.pin(17)
        assert counter.count() == 0
        pin.drive_low()
        pin.drive_high()
        assert counter.count() == 1
        with pytest.raises(buses.BusError, match="GPIO 17: "):
            buses.Pulses(17)
    finally:
        gpiozero.Device.pin_factory.reset()
        gpiozero.Device.pin_factory = None


def test_an_i2c_bus_that_is_not_there_is_an_absent_sensor() -> None:
    pytest.importorskip("smbus2")
    bus = buses.opened({"name": "i2c", "kind": "i2c", "id": 99, "pins": {}})
    for call in (lambda: bus.readfrom_mem(0x76, 0xD0, 1), lambda: bus.writeto(0x44, b"\x24\x00")):
        with pytest.raises(OSError, match="No such file"):
            call()


class Wire:
    """What smbus2 is to a bus: messages to one sensor, one after the other without a stop between."""

    def __init__(self, devices: dict[int, Any]) -> None:
        self._bus = wires.I2C(devices)

    def i2c_rdwr(self, *messages: Any) -> None:
        for message in messages:
            if message.flags & 1:
                for at, byte in enumerate(self._bus.readfrom(message.addr, message.len)):
                    message.buf[at] = bytes((byte,))
            else:
                self._bus.writeto(message.addr, bytes(message))


def test_drivers_through_messages_of_smbus2() -> None:
    pytest.importorskip("smbus2")
    from device_client.sensors import bme280, sht31
    from firmware.simulated.devices import bme280 as bme280_fake
    from firmware.simulated.devices import sht31 as sht31_fake

    bus = buses.I2C(1)
    bus._bus = Wire({0x76: bme280_fake.BME280(), 0x44: sht31_fake.SHT31()})
    assert bme280.Driver(bus, {"address": 0x76}, wires.Clock()).read() == [2508, 5350, 1006533]
    assert sht31.Driver(bus, {"address": 0x44}, wires.Clock()).read() == [2500, 5000]


def test_what_a_pi_cannot_do_is_said() -> None:
    with pytest.raises(buses.BusError, match="a Raspberry Pi has no ADC; wire that sensor to an ESP32"):
        buses.opened({"name": "adc", "kind": "adc", "pins": {"in": 4}})
    with pytest.raises(buses.BusError, match="no kind spi"):
        buses.opened({"name": "spi", "kind": "spi", "pins": {}})
    with pytest.raises(buses.BusError, match="1200 baud; known: 9600"):
        buses.Uart("/dev/null", 1200)


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name in ("smbus2", "gpiozero"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for bus in ({"kind": "i2c", "id": 1}, {"kind": "pulse", "pins": {"in": 17}}):
        with pytest.raises(buses.BusError, match=r"is not installed; run: pip install 'edgetally\[pi\]'"):
            buses.opened({"name": "x", **bus})


class Pin:
    def irq(self, handler: Any, trigger: int) -> None:
        self.handler, self.trigger = handler, trigger


def test_a_boards_pulses_are_counted_without_their_bounces() -> None:
    pin, clock = Pin(), wires.Clock()
    clock.now = 5_000
    counter = board_buses.Pulses(pin, 2, clock)
    assert pin.trigger == 2
    for pause_ms in (0, 1, 2, 3, 100, 1, 30, 30):  # a contact bounces
        clock.sleep_ms(pause_ms)
        pin.handler(pin)
    assert counter.count() == 4


def test_a_boards_one_wire_without_a_sensor() -> None:
    bus = cases.one_wire([])
    assert bus.scan() == []
    for call in (bus.convert, lambda: bus.scratchpad(bytes(8))):
        with pytest.raises(OSError, match="19"):
            call()
    with pytest.raises(Garbage):
        ds18b20.word(bytes(9))
