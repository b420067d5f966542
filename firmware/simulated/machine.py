"""MicroPython's `machine` of an ESP32, as far as Edgetally uses it, for a simulated board.

A reset ends the process at once, without unwinding, as the chip does; the signal it dies of tells the parent which kind
it was (`ends.py`). What survives it, the reset cause and the RTC memory, is left in a file beside the flash file; the
next start takes it away, so that a power cut (`kill -9`) leaves nothing. Devices are put on pins and buses with
`attach_*`; they decide what is read.
"""

import os
from time import gmtime, sleep_ms, ticks_diff, ticks_ms

import ends
import world
from umachine import Signal as Signal
from umachine import idle as idle
from umachine import time_pulse_us as time_pulse_us

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
RTC_BYTES_MAX = 2048

_files = _state_path = _process = None
_cause, _memory = PWRON_RESET, b""
_frequency = 160_000_000
_devices = {}  # (kind, bus or pin, address): device


def attach(files, state_path):
    """Take over what the last reset left. `files`: the host's file system."""
    global _files, _state_path, _cause, _memory, _process
    _files, _state_path = files, state_path
    with files.open("/proc/self/stat", "r") as file:
        _process = int(file.read(32).split(" ")[0])
    try:
        with files.open(state_path, "rb") as file:
            state = file.read()
        files.remove(state_path)
    except OSError:
        return
    _cause, _memory = state[0], state[5:]


def _end(cause, signal, asleep_ms=0):
    with _files.open(_state_path + ".new", "wb") as file:
        file.write(bytes((cause,)) + asleep_ms.to_bytes(4, "big") + _memory)
    _files.rename(_state_path + ".new", _state_path)
    os.system("kill -s %s %d" % (signal, _process))  # MicroPython has no kill, and `$PPID` may be 1 by then
    while True:
        sleep_ms(1000)


def reset():
    _end(SOFT_RESET, ends.RESET)  # an ESP32 says so of esp_restart()


def soft_reset():
    import sys

    with _files.open(_state_path, "wb") as file:
        file.write(bytes((SOFT_RESET, 0, 0, 0, 0)) + _memory)
    sys.exit(ends.SOFT_RESET)


def deepsleep(time_ms=0):
    _end(DEEPSLEEP_RESET, ends.DEEP_SLEEP, time_ms)


def lightsleep(time_ms=0):
    sleep_ms(time_ms)


def reset_cause():
    return _cause


def wake_reason():
    return 4 if _cause == DEEPSLEEP_RESET else 0  # TIMER_WAKE


def unique_id():
    from binascii import unhexlify

    return unhexlify(world.now("mac", "020000000001"))


def freq(hertz=None):
    global _frequency
    if hertz is None:
        return _frequency
    if hertz // 1_000_000 not in (20, 40, 80, 160, 240):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _frequency = hertz


def disable_irq():
    return 0


def enable_irq(state):
    pass


class RTC:
    _set = None

    def datetime(self, fields=None):
        """The host's clock, which it cannot change, until it is set; then that moment."""
        if fields is not None:
            RTC._set = tuple(fields)
        if RTC._set is not None:
            return RTC._set
        year, month, day, hour, minute, second, weekday = gmtime()[:7]
        return year, month, day, weekday, hour, minute, second, 0

    def memory(self, data=None):
        global _memory
        if data is None:
            return _memory
        if len(data) > RTC_BYTES_MAX:
            raise ValueError("buffer too long")
        _memory = bytes(data)


class WDT:
    """Once started it cannot be stopped. A thread looks at it, so that a loop that hangs does not matter."""

    _fed = None

    def __init__(self, id=0, timeout=5000):
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        WDT._timeout_ms = timeout
        if WDT._fed is None:
            import _thread

            WDT._fed = [0]
            self.feed()
            _thread.start_new_thread(_watch, (WDT._fed,))
        self.feed()

    def feed(self):
        WDT._fed[0] = ticks_ms()


def _watch(fed):
    while ticks_diff(ticks_ms(), fed[0]) <= WDT._timeout_ms:
        sleep_ms(20)
    _end(WDT_RESET, ends.WATCHDOG)


# PINS AND BUSES


def attach_pin(number, device):
    """`device.value()`: its level. `Pin.edges` makes interrupts."""
    _devices[("pin", number, None)] = device


def attach_i2c(bus, address, device):
    """`device.write(data)` begins a transfer; `device.read(length)` gives the bytes. OSError: no acknowledgement."""
    _devices[("i2c", bus, address)] = device


def attach_uart(bus, device):
    """`device.incoming()`: what came since the last call; `device.write(data)`."""
    _devices[("uart", bus, None)] = device


def attach_adc(pin, device):
    """`device.read_uv()`: microvolt at the pin."""
    _devices[("adc", pin, None)] = device


class Pin:
    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    _levels = {}
    _handlers = {}

    def __init__(self, id, mode=-1, pull=-1, value=None, drive=None, hold=None):
        self._id = id
        self._mode = mode
        if value is not None:
            self.value(value)

    def init(self, mode=-1, pull=-1, value=None, drive=None, hold=None):
        self._mode = mode
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is not None:
            Pin._levels[self._id] = 1 if level else 0
            return None
        device = _devices.get(("pin", self._id, None))
        if device:
            return device.value()
        if self._mode == Pin.OUT:
            return Pin._levels.get(self._id, 0)
        level, ms = 1, world.since_start_ms()
        for from_ms, then in world.now("pins", {}).get(str(self._id), ()):
            if from_ms <= ms:
                level = then
        return level

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, handler=None, trigger=3, hard=False):
        Pin._handlers[self._id] = handler, trigger
        return self

    @staticmethod
    def edges(id, count, kind=2):
        """Make `count` edges of a kind at an input."""
        handler, trigger = Pin._handlers.get(id, (None, 0))
        for _ in range(count):
            if handler and trigger & kind:
                handler(Pin(id))


class PWM:
    def __init__(self, pin, freq=1000, duty_u16=0):
        self._freq, self._duty = freq, duty_u16

    def freq(self, hertz=None):
        if hertz is None:
            return self._freq
        self._freq = hertz

    def duty_u16(self, duty=None):
        if duty is None:
            return self._duty
        self._duty = duty

    def deinit(self):
        pass


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400_000, timeout=50_000):
        self._id = id

    def scan(self):
        return sorted([key[2] for key in _devices if key[0] == "i2c" and key[1] == self._id])

    def _device(self, address):
        device = _devices.get(("i2c", self._id, address))
        if device is None:
            raise OSError(19)  # ENODEV, as an ESP32 says where nothing acknowledges
        return device

    def writeto(self, address, data, stop=True):
        self._device(address).write(bytes(data))
        return len(data)

    def writevto(self, address, pieces, stop=True):
        return self.writeto(address, b"".join(pieces), stop)

    def readfrom(self, address, length, stop=True):
        data = self._device(address).read(length)
        if len(data) != length:
            raise OSError(116)  # ETIMEDOUT
        return data

    def readfrom_into(self, address, buffer, stop=True):
        buffer[:] = self.readfrom(address, len(buffer))

    def readfrom_mem(self, address, register, length, *, addrsize=8):
        self.writeto(address, register.to_bytes(addrsize // 8, "big"))
        return self.readfrom(address, length)

    def readfrom_mem_into(self, address, register, buffer, *, addrsize=8):
        buffer[:] = self.readfrom_mem(address, register, len(buffer), addrsize=addrsize)

    def writeto_mem(self, address, register, data, *, addrsize=8):
        self.writeto(address, register.to_bytes(addrsize // 8, "big") + bytes(data))


class SoftI2C(I2C):
    def __init__(self, scl=None, sda=None, *, freq=400_000, timeout=50_000):
        self._id = -1


class UART:
    RX_BYTES = 256

    def __init__(self, id, baudrate=115200, **settings):
        self._id = id
        self._held = b""
        self.init(baudrate, **settings)

    def init(self, baudrate=115200, bits=8, parity=None, stop=1, tx=-1, rx=-1, rxbuf=256, txbuf=256, timeout=0, **_):
        self.baudrate = baudrate
        self._held_max = max(rxbuf, 129)

    def deinit(self):
        self._held = b""

    def any(self):
        device = _devices.get(("uart", self._id, None))
        if device:
            self._held = (self._held + device.incoming())[: self._held_max]  # a full buffer takes no more
        return len(self._held)

    def read(self, length=None):
        count = self.any() if length is None else min(length, self.any())
        data, self._held = self._held[:count], self._held[count:]
        return data or None

    def readinto(self, buffer, length=None):
        data = self.read(len(buffer) if length is None else length)
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def readline(self):
        self.any()
        end = self._held.find(b"\n") + 1
        return self.read(end) if end else None

    def write(self, data):
        device = _devices.get(("uart", self._id, None))
        if device:
            device.write(bytes(data))
        return len(data)

    def flush(self):
        pass


class ADC:
    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3
    _FULL_UV = (950_000, 1_250_000, 1_750_000, 3_100_000)  # what the ESP32 measures up to, by attenuation

    def __init__(self, pin, atten=3):
        self._pin = pin._id if isinstance(pin, Pin) else pin
        self._atten = atten

    def atten(self, atten):
        self._atten = atten

    def read_uv(self):
        device = _devices.get(("adc", self._pin, None))
        volts = device.read_uv() if device else world.now("adc_uv", {}).get(str(self._pin), 0)
        return min(volts, self._FULL_UV[self._atten])

    def read_u16(self):
        return self.read_uv() * 65535 // self._FULL_UV[self._atten]

    def read(self):
        return self.read_u16() >> 4
