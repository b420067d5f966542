"""The buses of a Raspberry Pi, with the methods of MicroPython's, for the drivers in `sensors`.

Each opens with its first use and again after a failure: a bus that is not there is an OSError when it is read, which is
a sensor that is absent, and the device goes on. `smbus2` and `gpiozero` come with `pip install 'edgetally[pi]'`.
"""

import fcntl
import os
import struct
import termios
import tty
from pathlib import Path
from typing import Any

W1_DEVICES = Path("/sys/bus/w1/devices")
BAUDS = {9600: termios.B9600, 19200: termios.B19200, 38400: termios.B38400, 115200: termios.B115200}
DEBOUNCE_S = 0.010  # a reed contact bounces for a few ms; a pulse of an S0 meter lasts 30 (DIN EN 62053-31)


class BusError(ValueError):
    """The text says what this machine lacks, and what to do."""


def opened(bus: dict[str, Any]) -> Any:
    """What the driver of a sensor on `bus`, of a compiled profile, is given. Raises BusError."""
    kind = bus["kind"]
    if kind == "i2c":
        return I2C(int(bus["id"]))
    if kind == "uart":
        return Uart(str(bus["id"]), int(bus["frequency"]))
    if kind == "onewire":
        return OneWire()
    if kind == "pulse":
        return Pulses(int(bus["pins"]["in"]))
    if kind == "adc":
        raise BusError(f"bus {bus['name']}: a Raspberry Pi has no ADC; wire that sensor to an ESP32")
    raise BusError(f"bus {bus['name']}: no kind {kind}")


class I2C:
    def __init__(self, number: int) -> None:
        self._smbus2 = _imported("smbus2")
        self._number = number
        self._bus: Any = None

    def writeto(self, address: int, data: bytes) -> int:
        self._transfer(self._smbus2.i2c_msg.write(address, data))
        return len(data)

    def readfrom(self, address: int, length: int) -> bytes:
        message = self._smbus2.i2c_msg.read(address, length)
        self._transfer(message)
        return bytes(message)

    def writeto_mem(self, address: int, register: int, data: bytes) -> None:
        self.writeto(address, bytes((register,)) + data)

    def readfrom_mem(self, address: int, register: int, length: int) -> bytes:
        message = self._smbus2.i2c_msg.read(address, length)
        self._transfer(self._smbus2.i2c_msg.write(address, bytes((register,))), message)
        return bytes(message)

    def _transfer(self, *messages: Any) -> None:
        if self._bus is None:
            self._bus = self._smbus2.SMBus(self._number)
        self._bus.i2c_rdwr(*messages)


class Uart:
    """`path` is a serial port. Nothing here waits."""

    def __init__(self, path: str, baud: int) -> None:
        if baud not in BAUDS:
            raise BusError(f"{path}: {baud} baud; known: {', '.join(map(str, BAUDS))}")
        self._path = path
        self._baud = BAUDS[baud]
        self._port = -1

    def any(self) -> int:
        """How many bytes have come."""
        try:
            return int(struct.unpack("i", fcntl.ioctl(self._opened(), termios.FIONREAD, bytes(4)))[0])
        except OSError:
            self.close()
            raise

    def read(self, length: int) -> bytes | None:
        try:
            return os.read(self._opened(), length) or None
        except BlockingIOError:
            return None
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._port >= 0:
            os.close(self._port)
            self._port = -1

    def _opened(self) -> int:
        if self._port < 0:
            port = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                tty.setraw(port, termios.TCSANOW)
                settings = termios.tcgetattr(port)
                settings[4] = settings[5] = self._baud
                settings[2] |= termios.CLOCAL | termios.CREAD
                termios.tcsetattr(port, termios.TCSANOW, settings)
            except termios.error as error:
                os.close(port)
                raise OSError(*error.args) from None
            self._port = port
        return self._port


class OneWire:
    """The kernel speaks 1-Wire: `w1_slave` of a sensor converts, and gives its scratchpad in hex."""

    def __init__(self, devices: Path = W1_DEVICES) -> None:
        self._devices = devices

    def scan(self) -> list[bytes]:
        """The ROMs of thermometers. The kernel has checked and left out their CRC, which is put back."""
        from .sensors.ds18b20 import crc8

        found = []
        for path in sorted(self._devices.glob("28-????????????")):
            try:
                rom = b"\x28" + bytes.fromhex(path.name[3:])[::-1]
            except ValueError:
                continue
            found.append(rom + bytes((crc8(rom),)))
        return found

    def convert(self) -> int:
        """Reading does it, and waits."""
        return 0

    def scratchpad(self, rom: bytes) -> bytes:
        path = self._devices / f"28-{rom[1:7][::-1].hex()}" / "w1_slave"
        words = path.read_text().partition(":")[0].split()
        try:
            return bytes(int(word, 16) for word in words)
        except ValueError:
            return b""  # which has no right CRC


class Pulses:
    """Falling edges at a pin with a pull-up, counted by gpiozero's thread."""

    def __init__(self, pin: int) -> None:
        gpiozero = _imported("gpiozero")
        self._count = 0
        try:
            self._input = gpiozero.DigitalInputDevice(pin, pull_up=True, bounce_time=DEBOUNCE_S)
        except (gpiozero.GPIOZeroError, OSError) as error:
            raise BusError(f"GPIO {pin}: {error}") from None
        self._input.when_activated = self._edge

    def _edge(self) -> None:
        self._count += 1

    def count(self) -> int:
        return self._count


def _imported(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise BusError(f"{name} is not installed; run: pip install 'edgetally[pi]'") from None
