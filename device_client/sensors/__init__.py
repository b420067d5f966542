"""What a device measures: each sensor names its channels once and then gives one scaled integer for each."""

from typing import Protocol

Channel = tuple[str, str, int]  # name, unit (SenML), decimal exponent


class Sensor(Protocol):
    @property
    def channels(self) -> list[Channel]: ...

    def read(self) -> list[int]:
        """One value a channel, scaled by 10^-exponent. Raises OSError when the sensor does not answer."""
        ...
