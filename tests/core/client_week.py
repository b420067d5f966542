"""Eight days of a client without a network, on a counter that is read from ticks which wrap. Runs on every interpreter.

What it signs then is hashed: uptime and the age of its readings must be the same everywhere, and right.
"""

import hashlib

from device_client.core import received
from tests.core.client_bench import Sitting, make_config, read

PERIOD_MS = 1 << 30  # of the ticks of a 32-bit MicroPython
DAYS = 8
STEP_MS = 599_999


class Ticks:
    """A board's: they begin just before they wrap, and wrap again within two weeks."""

    TICKS_PERIOD = PERIOD_MS

    def __init__(self):
        self.at = PERIOD_MS - 3
        self.total_ms = 0

    def ticks_ms(self):
        return self.at

    def after(self, step_ms):
        self.at = (self.at + step_ms) % PERIOD_MS
        self.total_ms += step_ms


class Exact:
    """What a counter of them has to say."""

    def __init__(self, ticks):
        self.now_ms = lambda: ticks.total_ms


def week(counter_class):
    """[days in ms, reports, newest dt_ms, newest uptime_s, hash of all]"""
    ticks = Ticks()
    counter = counter_class(ticks)
    at = Sitting(config=make_config(interval_s=600), records_max=4)
    at.now_ms = counter.now_ms()
    at.beacon()
    heard_ms = at.now_ms
    at.client.disconnected()
    seen = hashlib.sha256()
    total = reports = dt_ms = uptime_s = 0
    while total < DAYS * 86_400_000:
        ticks.after(STEP_MS)
        total += STEP_MS
        at.now_ms = counter.now_ms()
        assert at.now_ms == total, (at.now_ms, total)
        if at.client.sample_due(at.now_ms):
            at.client.sample([reports], at.now_ms)
        before = at.client.outbox.pending[-1].seq if at.client.outbox.pending else 0
        at.client.tick(at.now_ms)
        newest = at.client.outbox.pending[-1]
        if newest.seq == before:
            continue
        reports += 1
        said, identity, data = read(at.client.outbox.message(newest))
        ((dt_ms, value),) = received.readings(data, 1)
        uptime_s = said.uptime_s
        assert dt_ms == total - heard_ms and uptime_s == total // 1000 and value == reports - 1
        seen.update(identity)
    return [total, reports, dt_ms, uptime_s, seen.digest().hex()]
