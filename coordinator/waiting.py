"""Questions of devices that wait for an answer: so many of one device in a slot, so many at all, no more."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from device_client.core import verdicts
from device_client.core.cbor import Malformed

QUESTIONS_MAX = 20_000
DEVICES_MAX = 1_000_000
GROUP_MAX = 256
Q = TypeVar("Q")


class Waiting(Generic[Q]):
    """`parsed(message)` raises Malformed; `refuse(code, device)` counts; `per_slot_max` is of one device. `wake` is set
    while something waits."""

    def __init__(
        self, parsed: Callable[[bytes], Q], refuse: Callable[[int, bytes | None], None], per_slot_max: int
    ) -> None:
        self._parsed = parsed
        self._refuse = refuse
        self._per_slot_max = per_slot_max
        self._asked: dict[bytes, int] = {}
        self.waiting: list[tuple[Q, bytes]] = []
        self.wake = asyncio.Event()

    def open_slot(self) -> None:
        """A beacon is out: quotas begin anew."""
        self._asked.clear()

    def ask(self, message: bytes, device: bytes) -> None:
        """Take a question of a device that the broker vouches for, or refuse it."""
        try:
            question = self._parsed(message)
        except Malformed:
            self._refuse(verdicts.MALFORMED, device)
            return
        count = self._asked.get(device, 0)
        if count >= self._per_slot_max or len(self._asked) >= DEVICES_MAX:
            self._refuse(verdicts.RATE_LIMITED, device)
        elif len(self.waiting) >= QUESTIONS_MAX:
            self._refuse(verdicts.OVERLOADED, device)
        else:
            self._asked[device] = count + 1
            self.waiting.append((question, device))
            self.wake.set()

    def group(self) -> list[tuple[Q, bytes]]:
        """The next GROUP_MAX that wait, no longer waiting."""
        taken, self.waiting = self.waiting[:GROUP_MAX], self.waiting[GROUP_MAX:]
        return taken
