"""N simulated devices in one process: each with its own key, outbox, connection and seeded room."""

from collections.abc import Sequence
from pathlib import Path

from .keystore import open_state
from .provisioning import Provisioning
from .runner import Runner, make_client
from .sensors import Sensor
from .sensors.simulated import SimulatedRoom

RECORDS_MAX = 2_000
RETRY_MS = 3_000


def fleet_device(
    given: Provisioning, state: Path, sensor: Sensor, interval_s: int, spread_ms: int = 0, place: int = 0
) -> Runner:
    """One device whose identity lives in `state`; the same folder is the same device again."""
    key, outbox, _ = open_state(state, RECORDS_MAX)
    client = make_client(given, key, outbox, sensor, interval_s, retry_ms=RETRY_MS, spread_ms=spread_ms, place=place)
    return Runner(given, client, sensor)


def fleet(
    given: list[Provisioning], folder: Path, interval_s: int, spread_ms: int, places: Sequence[int] = (0,)
) -> list[Runner]:
    """One device for each provisioning, in numbered folders, at each of the places in turn."""
    return [
        fleet_device(one, folder / str(index), SimulatedRoom(index), interval_s, spread_ms, places[index % len(places)])
        for index, one in enumerate(given)
    ]
