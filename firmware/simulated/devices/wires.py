"""MicroPython's buses over simulated devices, for where there is no board: tests, on CPython and on MicroPython."""


class I2C:
    def __init__(self, devices):
        self.devices = devices  # by address

    def writeto(self, address, data):
        if address not in self.devices:
            raise OSError(19)
        self.devices[address].write(bytes(data))
        return len(data)

    def readfrom(self, address, length):
        if address not in self.devices:
            raise OSError(19)
        return self.devices[address].read(length)

    def writeto_mem(self, address, register, data):
        self.writeto(address, bytes((register,)) + bytes(data))

    def readfrom_mem(self, address, register, length):
        self.writeto(address, bytes((register,)))
        return self.readfrom(address, length)


class UART:
    """Keeps the oldest bytes when it is full, as that of an ESP32 does."""

    def __init__(self, device, bytes_max=256):
        self.device = device
        self._bytes_max = bytes_max
        self._held = b""

    def any(self):
        self._held = (self._held + self.device.incoming())[: self._bytes_max]
        return len(self._held)

    def read(self, length):
        self.any()
        data, self._held = self._held[:length], self._held[length:]
        return data or None


class Clock:
    """Time that passes only where somebody sleeps, and a little with every look at it."""

    def __init__(self):
        self.now = 0

    def sleep_ms(self, ms):
        self.now += ms

    def ticks_ms(self):
        self.now += 1
        return self.now

    def ticks_diff(self, later, earlier):
        return later - earlier
