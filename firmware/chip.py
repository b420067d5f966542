"""An ESP32 as the shell sees it, and what the board does with every turn of the shell's loop.

`feed` is called by that loop alone: while it turns, the watchdog is fed, and nothing else feeds it. What is decided
here: that this boot was good, when to start anew, when to sleep, what the LED says, what the next report tells.
"""

import os
import sys
import time
from gc import mem_free
from time import ticks_ms

import machine

BUTTON_MS = 10_000
GOOD_MS = 3_600_000  # a boot that has run so long did not fail, whatever the network does
LINKLESS_MS = 3_600_000  # then a new start may help: a heap in pieces, a radio that hangs
SAFE_MS = 600_000  # safe mode lasts so long after a receipt: an update may come
AWAKE_MS = 30_000  # of a board that sleeps: after a wake
AWAKE_FIRST_MS = 120_000  # after any other start
SLEEP_MS_MIN = 1_000
DAY_S = 86_400


class Board:
    """`kept` is the Memory, `lamp` a Lamp, `button` a Pin or None; `safe`: safe mode. `kickoff` sets the rest:
    `now_ms`, client, link, wifi, `internal` readings, perhaps sensors that are `attached`, a watchdog, `updating` (its
    `under_way` tells that an update is being fetched). `fault` is what another task has failed with."""

    TICKS_PERIOD = 1 << 30

    def __init__(self, kept, lamp, button, safe, deep_sleep):
        self.random = os.urandom
        self.heap_free = mem_free
        self.ticks_ms = ticks_ms
        self.kept = kept
        self.lamp = lamp
        self.client = self.link = self.wifi = None
        self.now_ms = self.internal = self.attached = self.updating = None
        self.watchdog = self.fault = None
        self._button = button
        self._safe = safe
        self._deep_sleep = deep_sleep and not safe
        self._pressed_ms = -1
        self._started_ms = -1
        self._linked_ms = self._good_ms = -1
        self._floor_s = kept.number("clock_floor")
        self._wifi_refused = self._storage_errors = 0
        self._trouble = False
        self._link_refused = {}

    def uptime_ms(self):
        """Of this boot, with its sleeps."""
        return self.now_ms() - self.client._started_ms

    def readings(self, now_ms):
        """One value for each channel; none in safe mode where sensors are attached: they are not touched."""
        if self.attached is None:
            return self.internal.read()
        return [] if self._safe else self.attached.read(now_ms, self.client.notice)

    def feed(self, now_ms):
        """The loop has turned once more. May not return."""
        if self.fault is not None:
            raise self.fault
        if self.watchdog is not None:
            self.watchdog.feed()
        if self._started_ms < 0:
            self._started_ms = self._linked_ms = now_ms
        if self._button is not None:
            self._look_at_button(now_ms)
        if self._good_ms < 0:
            if self.client.accepted or now_ms - self._started_ms >= GOOD_MS:
                self._good_ms = now_ms
                self.kept.set_number("failed_boots", 0)
        elif self._safe and now_ms - self._good_ms >= SAFE_MS and not self._fetching():
            restart("safe_mode is over")
        if self.link.connected:
            self._linked_ms = now_ms
        elif now_ms - self._linked_ms >= LINKLESS_MS:
            restart("no link for an hour")
        self._raise_floor()
        self._notice()
        self.lamp.show(self._pattern())
        if self._deep_sleep and self._may_sleep(now_ms):
            self._sleep(now_ms)

    def tell(self, name, value):
        """A notice by its name. It is rare, and the numbers would be in memory for ever."""
        from device_client.core import notices

        self.client.notice(getattr(notices, name.upper()), value)
        if self.attached is None:
            del sys.modules["device_client.core"].notices
            del sys.modules["device_client.core.notices"]

    def ask_time(self):
        """A certificate from the future: the clock may be late. Nobody signs the answer, so only a later time is
        believed; a wrong one can make us refuse certificates, never take one that has expired before the floor."""
        import ntptime

        try:
            told_s = ntptime.time()
        except (OSError, IndexError):
            return
        if told_s > time.time():
            year, month, day, hour, minute, second, weekday = time.gmtime(told_s)[:7]
            machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))

    def restart(self, reason):
        restart(reason)

    def _fetching(self):
        return self.updating is not None and self.updating.under_way

    def _look_at_button(self, now_ms):
        if self._button.value():
            self._pressed_ms = -1
        elif self._pressed_ms < 0:
            self._pressed_ms = now_ms
        elif now_ms - self._pressed_ms >= BUTTON_MS:
            factory_reset(self.kept, self.client.outbox)

    def _raise_floor(self):
        """What the clock says at the next start. Days are enough, and spare the flash."""
        beacon = self.client.beacon
        if beacon is not None and beacon.time >= self._floor_s + DAY_S and beacon.time < 1 << 31:
            self._floor_s = beacon.time
            self.kept.set_number("clock_floor", beacon.time)

    def _notice(self):
        client, link = self.client, self.link
        if self.wifi.refused != self._wifi_refused:
            self._wifi_refused = self.wifi.refused
            self.tell("wifi_refused", self._wifi_refused)
        errors = client.counters.get("storage_errors", 0)
        if errors != self._storage_errors:
            self._storage_errors = errors
            self.tell("storage_errors", errors)
        for code in range(1, 6):  # MQTT 3.1.1, 3.2.2.3
            count = link.counters.get("refused_%d" % code, 0)
            if count != self._link_refused.get(code, 0):
                self._link_refused[code] = count
                print("edgetally: broker_refused", code)
                self.tell("broker_refused", code)
                self._trouble = True
        certificates = link.counters.get("refused_certificate", 0)  # which the shell tells
        if certificates != self._link_refused.get(0, 0):
            self._link_refused[0] = certificates
            self._trouble = True
        if link.connected:
            self._trouble = False

    def _pattern(self):
        if self._fetching():
            return "update"
        if self._safe:
            return "safe_mode"
        if not self.wifi.connected:
            return "no_wifi"
        if self._trouble or self._storage_errors:
            return "trouble"
        if not self.link.connected:
            return "no_broker"
        return "ok" if self.client.outbox.enrolled else "enrolling"

    # DEEP SLEEP

    def _may_sleep(self, now_ms):
        """Everything said has its receipt, or the time for that is over."""
        if self._fetching():
            return False
        client = self.client
        woken = machine.reset_cause() == machine.DEEPSLEEP_RESET
        if now_ms - self._started_ms >= (AWAKE_MS if woken else AWAKE_FIRST_MS):
            return True
        return client.outbox.enrolled and client.counters.get("reports", 0) > 0 and client.outbox.waiting == 0

    def _sleep(self, now_ms):
        """Until the next report is due. The boot goes on behind it."""
        asleep_ms = max(SLEEP_MS_MIN, self.client.config.interval_s * 1000 - (now_ms - self._started_ms))
        machine.RTC().memory(self.client.resting(now_ms + asleep_ms))
        print("edgetally: sleep", asleep_ms)
        self.lamp.dark()
        machine.deepsleep(asleep_ms)


def restart(reason):
    print("edgetally: restart,", reason)
    machine.reset()


def factory_reset(kept, outbox):
    """The identity goes, the provisioning stays: the board enrols anew, as another device. Does not return."""
    print("edgetally: factory_reset")
    import keys

    keys.forget(kept, outbox)
    for name in ("failed_boots", "wifi_good", "failed_with"):
        kept.set_number(name, 0)
    machine.reset()
