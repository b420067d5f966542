"""What the intake accepted and refused, all time: by reason, and by device where somebody vouches for the sender."""

from collections import Counter
from collections.abc import Mapping

from device_client.core import verdicts


class Counts:
    def __init__(self) -> None:
        self.reasons: Counter[int] = Counter()
        self.by_device: Counter[tuple[bytes, int]] = Counter()

    def add(self, code: int, device: bytes | None = None, times: int = 1) -> None:
        self.reasons[code] += times
        if device is not None:
            self.by_device[(device, code)] += times

    def named(self) -> dict[str, int]:
        """Reasons by their stable names."""
        return {verdicts.name(code): count for code, count in self.reasons.items()}

    def merge(self, reasons: Mapping[int, int], by_device: Mapping[tuple[bytes, int], int]) -> None:
        self.reasons.update(reasons)
        self.by_device.update(by_device)

    def taken(self) -> "Counts":
        """What came together since the last call: for whoever adds it up elsewhere."""
        found = Counts()
        found.reasons, self.reasons = self.reasons, found.reasons
        found.by_device, self.by_device = self.by_device, found.by_device
        return found
