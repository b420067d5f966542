"""A simulated room: temperature and humidity that wander as real ones do. For fleets and tests, seeded."""

import random

from . import Channel


class SimulatedRoom:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - weather, not a secret
        self._temperature = self._random.randrange(1800, 2600)
        self._humidity = self._random.randrange(350, 650)

    @property
    def channels(self) -> list[Channel]:
        return [("temperature", "Cel", -2), ("humidity", "%RH", -1)]

    def read(self) -> list[int]:
        self._temperature += self._random.randrange(-9, 10)
        self._humidity = min(950, max(50, self._humidity + self._random.randrange(-6, 7)))
        return [self._temperature, self._humidity]


class StuckSensor:
    """Answers always the same: what a broken sensor looks like."""

    @property
    def channels(self) -> list[Channel]:
        return [("temperature", "Cel", -2), ("humidity", "%RH", -1)]

    def read(self) -> list[int]:
        return [2150, 480]
