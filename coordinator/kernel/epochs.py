"""Time in beacons: slots, epochs and presence windows. No clock.

A slot is named by the beacon that opens it. Epoch e covers the slots [e*E, (e+1)*E). It closes in the first batch whose
last slot reaches the end of the epoch plus the deadline, so that a statement which was under way still counts.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int64]


class Calendar(NamedTuple):
    """The network's parameters of time, all in beacons but the first."""

    beacon_interval_s: int
    batch_beacons: int
    epoch_beacons: int
    deadline_beacons: int
    late_beacons_max: int

    def epoch_of(self, slot: int) -> int:
        return slot // self.epoch_beacons

    def first_slot(self, epoch: int) -> int:
        return epoch * self.epoch_beacons

    def last_slot(self, epoch: int) -> int:
        return (epoch + 1) * self.epoch_beacons - 1

    def closing(self, first_slot: int, last_slot: int) -> range:
        """Epochs that a batch of the slots [first_slot, last_slot] closes."""
        return range(self.epochs_closed(first_slot - 1), self.epochs_closed(last_slot))

    def epochs_closed(self, last_slot: int) -> int:
        """How many epochs are closed by the batches up to the one that ends with this slot."""
        return max(0, (last_slot + 1 - self.deadline_beacons) // self.epoch_beacons)

    def window_beacons(self, interval_s: int) -> int:
        """Length of a presence window for a declared report interval; never beyond the epoch."""
        return min(max(1, -(-interval_s // self.beacon_interval_s)), self.epoch_beacons)

    def windows(self, interval_s: int) -> int:
        """Windows in an epoch. What is left over at the end belongs to the last one."""
        return self.epoch_beacons // self.window_beacons(interval_s)

    def window_of(self, slot: int, interval_s: int) -> int:
        """Index of a slot's window in its epoch."""
        return _window_of(self, slot, interval_s)

    def windows_of(self, slots: Slots, interval_s: Slots) -> Slots:
        """As `window_of`, by column."""
        window = self._window_beacons(interval_s)
        found: Slots = np.minimum(slots % self.epoch_beacons // window, self.epoch_beacons // window - 1)
        return found

    def windows_in_epoch(self, interval_s: Slots) -> Slots:
        """As `windows`, by column."""
        found: Slots = self.epoch_beacons // self._window_beacons(interval_s)
        return found

    def _window_beacons(self, interval_s: Slots) -> Slots:
        beacons = -(-interval_s.astype(np.int64) // self.beacon_interval_s)
        return np.clip(beacons, 1, self.epoch_beacons)


@lru_cache(maxsize=4096)  # the statements of a batch quote few slots, and most devices declare the same interval
def _window_of(calendar: Calendar, slot: int, interval_s: int) -> int:
    offset = slot % calendar.epoch_beacons
    return min(offset // calendar.window_beacons(interval_s), calendar.windows(interval_s) - 1)
