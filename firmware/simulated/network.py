"""MicroPython's `network.WLAN` as a station, in the air that the scenario describes. See `world.py`.

`socket()` wraps the host's module: without a connection no name is found, as on a board.
"""

import world

STA_IF = 0
AP_IF = 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
STAT_BEACON_TIMEOUT, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = 200, 201, 202
STAT_ASSOC_FAIL, STAT_HANDSHAKE_TIMEOUT = 203, 204
_hostname = "mpy-esp32"


def hostname(name=None):
    global _hostname
    if name is None:
        return _hostname
    _hostname = name


def _access_point(ssid, password):
    """0 if it lets us in, or the reason why not."""
    air = world.now("wifi")
    if air is None:
        return 0
    reason = STAT_NO_AP_FOUND
    for one in _in_the_air(air):
        if one["ssid"] == ssid:
            reason = 0 if one.get("password", "") == password else STAT_WRONG_PASSWORD
    return reason


def _in_the_air(air):
    ms = world.since_start_ms()
    return [one for one in air if one.get("from_ms", 0) <= ms < one.get("until_ms", ms + 1)]


class _Station:
    def __init__(self):
        self._active = self._wanted = self._connected = False
        self._reason = 0
        self._reconnects = -1  # for ever
        self._tries_left = 0
        self._ready_ms = 0
        self._ssid = self._key = ""

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
            if not on:
                self._wanted = self._connected = False
        return self._active

    def connect(self, ssid=None, key="", bssid=None):
        if not self._active:
            raise OSError("Wifi Not Started")
        if self._pending():
            raise OSError("Wifi Internal State Error")
        if ssid is not None:
            self._ssid, self._key = ssid, key or ""
        self._wanted = True
        self._connected, self._reason = False, 0
        self._tries_left = self._reconnects
        self._ready_ms = world.since_start_ms() + world.now("connect_ms", 50)

    def _pending(self):
        """Whether a connection is being made; brings the state up to now."""
        if not self._wanted:
            return False
        if self._connected:
            if not _access_point(self._ssid, self._key):
                return False
            self._connected, self._reason = False, STAT_BEACON_TIMEOUT
        elif self._reason and self._tries_left == 0:
            return False
        elif world.since_start_ms() < self._ready_ms:
            return True
        else:
            self._reason = _access_point(self._ssid, self._key)
            self._connected = not self._reason
        if not self._connected and self._tries_left:
            self._tries_left -= self._tries_left > 0
            self._ready_ms = world.since_start_ms() + world.now("connect_ms", 50)
            return True
        return False

    def disconnect(self):
        self._wanted = self._connected = False

    def isconnected(self):
        self._pending()
        return self._connected

    def status(self, what=None):
        pending = self._pending()
        if what == "rssi":
            found = [one for one in _in_the_air(world.now("wifi") or []) if one["ssid"] == self._ssid]
            return found[0].get("rssi", -60) if found else -60
        if what is not None:
            raise ValueError("unknown status param")
        if self._connected:
            return STAT_GOT_IP
        return STAT_CONNECTING if pending else self._reason or STAT_IDLE

    def scan(self):
        if not self._active:
            raise OSError("STA must be active")
        return [
            (one["ssid"].encode(), bytes(6), 1, one.get("rssi", -60), 3 if one.get("password") else 0, False)
            for one in _in_the_air(world.now("wifi") or [])
        ]

    def ifconfig(self):
        return ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1") if self.isconnected() else ("0.0.0.0",) * 4

    def config(self, name=None, **settings):
        if name == "reconnects":
            return self._reconnects
        if name == "mac":
            import machine

            return machine.unique_id()
        if name is not None:
            raise ValueError("unknown config param")
        for key, value in settings.items():
            if key == "reconnects":
                self._reconnects = value
            elif key not in ("pm", "txpower", "hostname", "channel"):
                raise ValueError("unknown config param")


_station = _Station()


class WLAN:
    IF_STA, IF_AP = 0, 1
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 0, 1, 2

    def __new__(cls, interface=0):
        if interface != 0:
            raise ValueError("the simulated board is a station only")
        return _station


def socket():
    """A module for `sys.modules["socket"]`."""
    import socket as host

    class Module:
        def __init__(self):
            for name in dir(host):
                if name[0] != "_" and name != "getaddrinfo":
                    setattr(self, name, getattr(host, name))

        def getaddrinfo(self, *arguments):
            if not _station.isconnected():
                raise OSError(-202)
            return host.getaddrinfo(*arguments)

    return Module()
