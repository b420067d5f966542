"""How fast one address may ask: a token bucket each, in a table that forgets whom it has not seen for longest.

A request with a valid API token is counted under its person, so that a script behind a shared address has its own.
"""

import time
from collections import OrderedDict
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler

from coordinator.web import access, hosts
from coordinator.web.keys import LIMITS, PLACE
from coordinator.web.problems import Problem

KEYS_MAX = 4096
FREE = ("/livez", "/readyz", "/metrics")  # of whoever keeps the coordinator running


class _Bucket(NamedTuple):
    left: float
    at: float


class Rates:
    """`take` once a request: seconds to wait, 0 when it may go on."""

    def __init__(self, per_s: float, burst: int, keys_max: int = KEYS_MAX) -> None:
        self._per_s, self._burst, self._keys_max = per_s, burst, keys_max
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        held = self._buckets.get(key, _Bucket(self._burst, now))
        left = min(float(self._burst), held.left + max(0.0, now - held.at) * self._per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._buckets[key] = _Bucket(left - 1 if left >= 1 else left, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._keys_max:
            self._buckets.popitem(last=False)
        return wait_s

    def __len__(self) -> int:
        return len(self._buckets)


RATES: web.AppKey[Rates] = web.AppKey("rates", Rates)


@web.middleware
async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Inside of `access.resolve`, which knows who asks. Raises Problem rate_limited."""
    if request.path not in FREE:
        who = access.visitor(request)
        key = f"person {who.person.hex()}" if who.person else hosts.address(request, request.app[PLACE])
        wait_s = request.app[RATES].take(key, time.monotonic())
        if wait_s > 0:
            told = f"More than {request.app[LIMITS].requests_per_s:g} requests a second. Wait a little."
            raise Problem(429, "rate_limited", told, headers={"Retry-After": str(int(wait_s) + 1)})
    return await handler(request)
