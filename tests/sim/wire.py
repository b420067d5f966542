"""The network between a device and the coordinator: it loses, repeats, delays and thereby reorders."""

from random import Random
from typing import Generic, NamedTuple, TypeVar

Payload = TypeVar("Payload")


class Faults(NamedTuple):
    """Probabilities: of a message, of a device's power in a tick, of the coordinator at each point where it may die."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay_ms_max: int = 0
    power_cut: float = 0.0
    crash: float = 0.0


CALM = Faults()
ROUGH = Faults(loss=0.15, duplicate=0.15, delay_ms_max=2500, power_cut=0.01, crash=0.02)


class Line(Generic[Payload]):
    """One direction of one device. Its luck is its own, so no other device's traffic changes it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._under_way: list[tuple[int, Payload]] = []

    def send(self, payload: Payload, now_ms: int, faults: Faults) -> None:
        copies = 2 if self._random.random() < faults.duplicate else 1
        for _ in range(copies):
            lost = self._random.random() < faults.loss
            delay_ms = self._random.randint(0, faults.delay_ms_max)
            if not lost:
                self._under_way.append((now_ms + delay_ms, payload))

    def arrived(self, now_ms: int) -> list[Payload]:
        """What is due, in the order of arrival."""
        due = sorted((one for one in self._under_way if one[0] <= now_ms), key=lambda one: one[0])
        self._under_way = [one for one in self._under_way if one[0] > now_ms]
        return [payload for _, payload in due]
