"""Which wire goes where: from the profile of a board to the list that its page, its diagram and its owner need."""

from typing import NamedTuple

from .profile_file import sensor_kinds
from .profiles import Profile

COLOURS = {
    "3V3": "red",
    "5V": "orange",
    "GND": "black",
    "sda": "blue",
    "scl": "yellow",
    "tx": "green",
    "rx": "white",
    "data": "violet",
    "in": "violet",
    "led": "violet",
}
LED = (("long leg, through 330 ohm", "led"), ("short leg", "GND"))


class Wire(NamedTuple):
    """From `label` of `device` (a sensor's name, or "led") to `position` of the header, which the board calls `pin`."""

    device: str
    label: str
    pin: str
    position: str
    colour: str


def wires(profile: Profile) -> list[Wire]:
    """Every wire of every sensor, as if all were attached; those that share a pin are named by the profile's buses.

    Power pins are taken in turn, so that not all wires crowd at one, and again from the first when all are taken.
    """
    places: dict[str, list[str]] = {}
    for label, position in profile.header:
        places.setdefault(label, []).append(position)
    turns: dict[str, int] = {}

    def wire(device: str, label: str, role: str, pins: dict[str, int]) -> Wire:
        pin = f"GPIO{pins[role]}" if role in pins else role
        turn = turns.get(pin, 0)
        turns[pin] = turn + 1
        return Wire(device, label, pin, places[pin][turn % len(places[pin])], COLOURS[role])

    buses = {bus.name: bus.pins for bus in profile.buses}
    found = [
        wire(one.name, label, role, buses[one.bus])
        for one in profile.sensors
        for label, role in sensor_kinds()[one.kind].wires
    ]
    if "led" in profile.pins and not profile.led_fitted:
        found += [wire("led", label, role, profile.pins) for label, role in LED]
    return found


def exclusive(profile: Profile) -> list[list[str]]:
    """Names of sensors of which only one can be attached, because they need the same pins."""
    from .profiles import SHARED

    kinds = {bus.name: bus.kind for bus in profile.buses}
    users: dict[str, list[str]] = {}
    for one in profile.sensors:
        if kinds[one.bus] not in SHARED:
            users.setdefault(one.bus, []).append(one.name)
    return [names for names in users.values() if len(names) > 1]


def pull_ups(profile: Profile) -> list[tuple[str, int]]:
    """(sensor, ohm) of each resistor between the sensor's data wire and 3V3."""
    return [(one.name, ohm) for one in profile.sensors if (ohm := sensor_kinds()[one.kind].pull_up_ohm)]
