"""The auditor's look at the log roots that beacons name: each against the headers that were walked so far.

A beacon may name a size that is not reached yet; it waits, and tells meanwhile how many batches there must be.
"""

from device_client.core import light, merkle

from .archive import BEACONS_FILE, Wrong


class RootsAudit:
    """`by_size` holds the roots of the log from size 0 on; `frontier` is the log as far as it was walked."""

    def __init__(self) -> None:
        self.frontier = merkle.Frontier()
        self.by_size: list[bytes] = []
        self._waiting: dict[int, list[light.Beacon]] = {}

    @property
    def named(self) -> int:
        """The largest size that a beacon names and that is not reached yet, 0 for none."""
        return max(self._waiting, default=0)

    def take(self, beacon: light.Beacon) -> None:
        """The next beacon, verified. Raises Wrong."""
        if beacon.log_size < len(self.by_size):
            self._compare(beacon)
        else:
            self._waiting.setdefault(beacon.log_size, []).append(beacon)

    def reached(self) -> None:
        """Every beacon that speaks of a log of this size must know its root. Once a size. Raises Wrong."""
        self.by_size.append(self.frontier.root())
        for beacon in self._waiting.pop(self.frontier.size, []):
            self._compare(beacon)

    def _compare(self, beacon: light.Beacon) -> None:
        size = beacon.log_size
        if beacon.log_root != self.by_size[size]:
            told = f"beacon {beacon.number} names another log root of {size} batches"
            raise Wrong(size - 1, BEACONS_FILE, told, "log_root")
