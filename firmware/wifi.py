"""The station: always connected, or on the way to one of the networks that it was given.

They are tried in their order, the one that worked last before all others. After a round without success it waits for
a random time of up to a minute (full jitter, as the MQTT link does). A wrong password is told: it does not go away by
itself, and the next network may be right.
"""

from asyncio import sleep_ms

import link
import network

CONNECT_MS = 15_000
LOOK_MS = 250
# What access points answer to a wrong password: the handshake times out (IEEE 802.11 reason 15; 204 before it began) or
# the authentication fails (202).
REFUSED = (15, 202, 204)


class Wifi:
    """`networks`: [[ssid, password], ...]; which of them worked last is kept in `kept`. `mqtt`, the link, is told when
    the network comes and goes. `refused` counts wrong passwords."""

    def __init__(self, station, networks, kept, mqtt):
        self._station = station
        self._networks = networks
        self._kept = kept
        self._mqtt = mqtt
        good = kept.number("wifi_good")
        self._good = good if 0 <= good < len(networks) else 0
        self.connected = False
        self.refused = 0

    async def run(self):
        attempt = 0
        while True:
            if self._station.isconnected():
                attempt = 0
                self._set(True)
                await sleep_ms(LOOK_MS)
            elif await self._round():
                continue
            else:
                self._set(False)
                await sleep_ms(link.back_off_ms(attempt))
                attempt += 1

    def _set(self, connected):
        if connected != self.connected:
            self.connected = connected
            print("edgetally: wifi", "connected" if connected else "lost")
            if connected:
                self._mqtt.hurry()
            else:
                self._mqtt.lose()

    async def _round(self):
        """Try every network once; whether one has let us in."""
        self._set(False)
        count = len(self._networks)
        for number in [self._good] + [number for number in range(count) if number != self._good]:
            if await self._try(*self._networks[number]):
                if number != self._good:
                    self._good = number
                    self._kept.set_number("wifi_good", number)
                return True
        return False

    async def _try(self, ssid, password):
        station = self._station
        status = 0
        try:
            station.disconnect()
            station.connect(ssid, password)
            waited_ms = 0
            while waited_ms < CONNECT_MS:
                await sleep_ms(LOOK_MS)
                waited_ms += LOOK_MS
                status = station.status()
                if station.isconnected():
                    return True
                if status != network.STAT_CONNECTING:
                    break
            station.disconnect()
        except OSError as trouble:
            print("edgetally: wifi_error", trouble)
            return False
        if status in REFUSED:
            self.refused += 1
            print("edgetally: wifi_refused", ssid)
        else:
            print("edgetally: wifi_absent", ssid, status)
        return False
