"""The sensors of a Linux machine: its own readings, and what is wired to the header of a Raspberry Pi."""

from collections.abc import Callable, Sequence
from pathlib import Path

from device_client import buses
from device_client.profiles import ProfileError, check_system, compiled, load_profile

from . import Channel, Sensor
from .attached import Attached
from .host import HostSensor


class Wired:
    """Sensors on wires as one Sensor. `notice` is the client's, once there is one; it is called where `read` is."""

    is_slow = True

    def __init__(self, attached: Attached) -> None:
        self._attached = attached
        self.notice: Callable[[int, int], None] | None = None

    @property
    def channels(self) -> list[Channel]:
        return [(str(name), str(unit), int(exponent)) for name, unit, exponent in self._attached.channels]

    @property
    def private(self) -> bool:
        return self._attached.private

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong with a sensor, in words, by its name."""
        return dict(self._attached.faults)

    def read(self) -> list[int]:
        return self._attached.read(0, self.notice)


def sensor_of(board: str, names: Sequence[str], host: Sensor | None = None) -> Sensor:
    """The sensors `names` of a board's profile behind this machine's own readings; those alone without a board. Raises
    ValueError with what to do: an unknown board or sensor, one that this machine cannot read, too many channels."""
    internal = host or HostSensor()
    if not board or not names:
        if names:
            raise ProfileError(f"sensors {', '.join(names)} need a board; name the one that they are wired to")
        return internal
    profile = load_profile(Path(board) if board.endswith(".toml") else board)
    if profile.kind != "pi":
        raise ProfileError(f"{board}: flash it with edgetally flash; this machine is a Raspberry Pi or none")
    check_system(profile)
    return Wired(Attached(compiled(profile, names), buses.opened, internal))
