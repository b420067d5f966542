"""What every driver says to every fake, as lines of text: the same on CPython and on two builds of MicroPython."""

from device_client.sensors import adc, attached, bme280, bme280_formulas, ds18b20, gps, nmea, pms5003, pulse, sht31
from device_client.sensors.faults import Fault
from firmware import buses
from firmware.simulated import onewire
from firmware.simulated.devices import bme280 as bme280_fake
from firmware.simulated.devices import ds18b20 as ds18b20_fake
from firmware.simulated.devices import sht31 as sht31_fake
from firmware.simulated.devices import talkers, wires

PIN = 4


def one_wire(devices, pin=PIN):
    """The bus of a board over these devices."""
    onewire.attach(pin, devices)
    onewire.short(pin, False)
    return buses.OneWire(onewire.OneWire(pin))


class Volts:
    def __init__(self, microvolt):
        self.microvolt = microvolt

    def read_uv(self):
        return self.microvolt


class Counted:
    def __init__(self, count):
        self.value = count

    def count(self):
        return self.value


def said(driver):
    """The values, or the name of what is wrong."""
    try:
        return driver.read()
    except Fault as fault:
        return "%s: %s" % (fault.code, fault)
    except OSError as error:
        return "OSError %s" % error.args[0]


def bme280_driver(device):
    return bme280.Driver(wires.I2C({0x76: device}), {"address": 0x76}, wires.Clock())


def sht31_driver(device):
    return sht31.Driver(wires.I2C({0x44: device}), {"address": 0x44}, wires.Clock())


def ds18b20_driver(*devices):
    return ds18b20.Driver(one_wire(devices), {}, wires.Clock())


def pms5003_driver(**settings):
    clock = wires.Clock()
    device = talkers.PMS5003(lambda: clock.now, **settings)
    return pms5003.Driver(wires.UART(device), {}, clock), device, clock


def gps_driver(**settings):
    clock = wires.Clock()
    device = talkers.GPS(lambda: clock.now, **settings)
    return gps.Driver(wires.UART(device, 1024), {}, clock), device, clock


def pseudo_random(seed):
    """Bytes of a linear congruential generator: the same everywhere."""
    while True:
        seed = (seed * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        yield seed >> 16 & 0xFF


def formulas(count):
    """Whole registers of noise through the formulas: products wrap as those of a register would."""
    noise = pseudo_random(280)
    lines = []
    for _ in range(count):
        trim = bme280_formulas.trimming(bytes([next(noise) for _ in range(26)]), bytes([next(noise) for _ in range(7)]))
        raws = [next(noise) << 12 | next(noise) << 4 | next(noise) >> 4 for _ in range(2)] + [next(noise) << 8]
        fine = bme280_formulas.t_fine(trim, raws[0])
        values = (
            fine,
            bme280_formulas.temperature(fine),
            bme280_formulas.pressure(trim, fine, raws[1]),
            bme280_formulas.humidity(trim, fine, raws[2]),
        )
        lines.append("formulas %r" % (values,))
    return lines


def drivers():
    lines = ["bme280 %r" % (said(bme280_driver(bme280_fake.BME280(polls=polls))),) for polls in (0, 3, 99)]
    lines.append("bme280 %r" % (said(bme280_driver(bme280_fake.BME280(chip_id=0x58))),))
    for raw in (0, 0x6666, 0xBEEF, 0xFFFF):
        lines.append("sht31 %r" % (said(sht31_driver(sht31_fake.SHT31((raw, raw)))),))
    for raw in (0x07D0, 0x0191, 0xFF5E, 0xFC90, 0x0550):
        for resolution in (9, 10, 11, 12):
            lines.append("ds18b20 %r" % (said(ds18b20_driver(ds18b20_fake.DS18B20(raw, resolution=resolution))),))
    lines.append("pms5003 %r" % (said(pms5003_driver()[0]),))
    lines.append("gps %r" % (said(gps_driver()[0]),))
    lines.append("adc %r" % (said(adc.Driver(Volts(1_650_499), {})),))
    lines.append("pulse %r" % (said(pulse.Driver(Counted(7), {})),))
    return lines


def noise():
    """Bytes without a meaning into the two parsers, whole and cut anywhere."""
    source = pseudo_random(42)
    lines = []
    for _ in range(40):
        data = bytes([next(source) for _ in range(next(source))])
        lines.append("frame %r" % (pms5003.first_frame(data + talkers.FRAME[: next(source) % 32])[0],))
        lines.append("fields %r" % (nmea.fields(data),))
    return lines


ABOUT = {
    "buses": [
        {"name": "i2c", "kind": "i2c"},
        {"name": "uart1", "kind": "uart"},
        {"name": "wire", "kind": "onewire"},
        {"name": "in", "kind": "adc"},
    ],
    "sensors": [
        {"name": "bme280", "kind": "bme280", "bus": "i2c", "address": 0x76},
        {"name": "sht31", "kind": "sht31", "bus": "i2c", "address": 0x44},
        {"name": "dust", "kind": "pms5003", "bus": "uart1", "address": 0},
        {"name": "soil", "kind": "ds18b20", "bus": "wire", "address": 0},
        {"name": "level", "kind": "adc", "bus": "in", "address": 0},
    ],
}


class Wired:
    """A device with five sensors on four buses."""

    def __init__(self):
        self.clock = wires.Clock()
        self.bme280 = bme280_fake.BME280()
        self.sht31 = sht31_fake.SHT31()
        self.dust = talkers.PMS5003(lambda: self.clock.now)
        self.soil = ds18b20_fake.DS18B20()
        self.level = Volts(500_000)
        self._buses = {
            "i2c": wires.I2C({0x76: self.bme280, 0x44: self.sht31}),
            "uart1": wires.UART(self.dust),
            "wire": one_wire([self.soil]),
            "in": self.level,
        }
        self.attached = attached.Attached(ABOUT, lambda bus: self._buses[bus["name"]], None, self.clock)
        self.notices = []

    def read(self):
        return self.attached.read(0, lambda code, value: self.notices.append((code, value)))


def one_after_the_other():
    """Each sensor is unplugged and comes back, while the others go on."""
    wired = Wired()
    lines = ["%r" % (wired.attached.channels,), "%r" % (wired.read(),)]
    for device in (wired.bme280, wired.sht31, wired.dust, wired.soil):
        device.present = False
        lines.append("without %r" % (wired.read(),))
        device.present = True
        lines.append("with %r" % (wired.read(),))
    return lines + ["notices %r" % (wired.notices,)]


PARTS = {"drivers": drivers, "formulas": lambda: formulas(60), "noise": noise, "attached": one_after_the_other}
