"""Sensors that talk by themselves over a UART: a PMS5003 (series data manual V2.3, appendix I), a GPS (NMEA 0183).

`now_ms()` is the clock they talk by. What comes out until they are asked is what they said since they were asked last.
"""

# A frame of a sensor, caught by the authors of PyPMS: 13 ug/m3 of PM2.5.
FRAME = bytes((0x42, 0x4D, 0, 28, 0, 5, 0, 13, 0, 22, 0, 5, 0, 13, 0, 22, 2, 0xFD, 0, 0xFC, 0, 0x1D, 0, 15, 0, 6, 0, 6))
FRAME += bytes((0x97, 0, 3, 0xC5))
# The example of many receivers' manuals.
GGA = b"GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
RMC = b"GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W"
BACKLOG_MAX = 64


def frame(pm1, pm2_5, pm10):
    """A frame with these values in micrograms per cubic metre, for both of the manual's environments."""
    words = (28, pm1, pm2_5, pm10, pm1, pm2_5, pm10, 765, 252, 29, 15, 6, 6, 0x9700)
    data = b"\x42\x4d" + b"".join([word.to_bytes(2, "big") for word in words])
    return data + sum(data).to_bytes(2, "big")


def sentence(text):
    parity = 0
    for byte in text:
        parity ^= byte
    return b"$" + text + b"*%02X\r\n" % parity


class Talker:
    """Says `said` every `every_ms`. `present = False` is an open wire; `noise` comes instead of what it would say."""

    def __init__(self, now_ms, said, every_ms):
        self.present = True
        self.said = said
        self.noise = b""
        self._now_ms = now_ms
        self._every_ms = every_ms
        self._until_ms = now_ms()

    def incoming(self):
        rounds = (self._now_ms() - self._until_ms) // self._every_ms
        self._until_ms += rounds * self._every_ms
        return (self.noise or self.said) * min(rounds, BACKLOG_MAX) if self.present else b""

    def write(self, data):
        pass


def PMS5003(now_ms, said=FRAME):
    return Talker(now_ms, said, 2_300)  # its longest interval


def GPS(now_ms, said=None):
    return Talker(now_ms, said or sentence(GGA) + sentence(RMC), 1_000)
