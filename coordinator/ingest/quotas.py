"""How much of a slot one device, and one shard of devices, may take. What is beyond is dropped before it is durable."""

from typing import NamedTuple

SHARDS = 256


class Limits(NamedTuple):
    """Messages between two beacons."""

    device_max: int
    shard_max: int


class Quotas:
    """Counts by device. Where the broker does not vouch for the sender anyone can use up a device's quota, and so that
    one is apart; a shard's quota keeps a farm of devices from taking the slot of all others."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._vouched: dict[bytes, int] = {}
        self._unvouched: dict[bytes, int] = {}
        self._shards = [0] * SHARDS

    def open_slot(self) -> None:
        """A beacon is out: all begin anew."""
        self._vouched.clear()
        self._unvouched.clear()
        self._shards = [0] * SHARDS

    def admits(self, device: bytes, vouched: bool) -> bool:
        """Count one more message; False when it is one too many."""
        counts = self._vouched if vouched else self._unvouched
        count = counts.get(device, 0)
        shard = device[0]
        if count >= self._limits.device_max or self._shards[shard] >= self._limits.shard_max:
            return False
        counts[device] = count + 1
        self._shards[shard] += 1
        return True
