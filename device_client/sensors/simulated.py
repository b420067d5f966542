"""A simulated room: temperature and humidity that wander as real ones do. For fleets and tests, seeded."""

import random

from . import Channel


class SimulatedRoom:
    is_slow = False

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - weather, not a secret
        self._temperature = self._random.randrange(1800, 2600)
        self._humidity = self._random.randrange(350, 650)

    @property
    def channels(self) -> list[Channel]:
        return [("temperature", "Cel", -2), ("humidity", "%RH", -1)]

    def read(self) -> list[int]:
        # Never twice the same value: what does not change at all is what a stuck sensor looks like.
        self._temperature += self._step(9) if 500 < self._temperature < 4000 else 2100 - self._temperature
        self._humidity += self._step(6) if 100 < self._humidity < 900 else 500 - self._humidity
        return [self._temperature, self._humidity]

    def _step(self, largest: int) -> int:
        return self._random.choice((-1, 1)) * self._random.randrange(1, largest + 1)


class StuckSensor:
    """Answers always the same: what a broken sensor looks like."""

    is_slow = False

    @property
    def channels(self) -> list[Channel]:
        return [("temperature", "Cel", -2), ("humidity", "%RH", -1)]

    def read(self) -> list[int]:
        return [2150, 480]
