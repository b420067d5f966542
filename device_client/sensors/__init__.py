"""What a device measures: each sensor names its channels once and then gives one scaled integer for each.

`Sensor` is what a runner asks. Behind it stand this machine (`host`), simulated rooms (`simulated`), or the sensors
on wires (`attached`), whose drivers run unchanged on CPython and on MicroPython:

    bme280, sht31     I2C        each driver: Driver(bus, config, clock), `channels`, `read()`
    ds18b20           1-Wire     what is wrong with a sensor is a Fault (`faults`) or an OSError: it does not answer
    pms5003, gps      UART       a driver that raised begins anew with the next `read`
    adc, pulse        a pin
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    Channel = tuple[str, str, int]  # name, unit (SenML), decimal exponent

    class Sensor(Protocol):
        is_slow: bool  # `read` may take seconds: it is called in a thread

        @property
        def channels(self) -> list[Channel]: ...

        def read(self) -> list[int]:
            """One value a channel, scaled by 10^-exponent; MISSING of `core.statement` where there is none. Raises
            OSError when the sensor does not answer."""
            ...

else:  # MicroPython has no typing

    class Sensor:
        pass

    Channel = tuple
