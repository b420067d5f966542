"""Failed sign-ins, counted by address and by account: after a few, each takes longer to be heard.

Kept in memory and bounded: what is oldest is forgotten first. Each process counts for itself.
"""

from collections import OrderedDict
from typing import NamedTuple

from coordinator.web.problems import Problem

FREE = 5
FORGET_S = 900
WAIT_ADDRESS_MAX_S = 300
# Whoever fails for another's account must not be able to keep its owner out for long.
WAIT_ACCOUNT_MAX_S = 15
KEYS_MAX = 4096


class _Failed(NamedTuple):
    times: int
    last: float


class Attempts:
    """`check` before a secret or signature is looked at, `failed` or `succeeded` after it."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._failed: OrderedDict[str, _Failed] = OrderedDict()
        self._keys_max = keys_max

    def check(self, now: float, address: str, account: str = "") -> None:
        """Raises Problem too_many_attempts."""
        wait_s = max(
            self._wait_s(now, f"address {address}", WAIT_ADDRESS_MAX_S),
            self._wait_s(now, f"account {account}", WAIT_ACCOUNT_MAX_S) if account else 0,
        )
        if wait_s > 0:
            headers = {"Retry-After": str(int(wait_s) + 1)}
            raise Problem(429, "too_many_attempts", "Too many sign-ins have failed. Wait a little.", headers=headers)

    def failed(self, now: float, address: str, account: str = "") -> None:
        for key in (f"address {address}", f"account {account}") if account else (f"address {address}",):
            held = self._held(now, key)
            self._failed[key] = _Failed(held.times + 1, now)
            self._failed.move_to_end(key)
        while len(self._failed) > self._keys_max:
            self._failed.popitem(last=False)

    def succeeded(self, address: str, account: str = "") -> None:
        self._failed.pop(f"address {address}", None)
        self._failed.pop(f"account {account}", None)

    def __len__(self) -> int:
        return len(self._failed)

    def _wait_s(self, now: float, key: str, max_s: int) -> float:
        held = self._held(now, key)
        if held.times < FREE:
            return 0
        return held.last + min(max_s, 1 << min(held.times - FREE, 20)) - now

    def _held(self, now: float, key: str) -> _Failed:
        held = self._failed.get(key)
        return held if held is not None and now - held.last < FORGET_S else _Failed(0, now)
