"""Wiring diagrams: a profile as a WireViz harness, drawn by WireViz and graphviz as SVG."""

import re
from pathlib import Path
from typing import Any

import yaml
from wireviz.wireviz import parse

from device_client.profile_file import sensor_kinds
from device_client.profiles import Profile
from device_client.wiring import Wire, exclusive, pull_ups, wires

_COLOURS = {"red": "RD", "orange": "OG", "black": "BK", "blue": "BU", "yellow": "YE", "green": "GN", "white": "WH"}
_COLOURS["violet"] = "VT"


def harness(profile: Profile) -> dict[str, Any]:
    """What WireViz reads: the board's header with the pins in use, each sensor, a cable between them."""
    by_device: dict[str, list[Wire]] = {}
    for wire in wires(profile):
        by_device.setdefault(wire.device, []).append(wire)
    used = {wire.position: wire.pin for wires_of in by_device.values() for wire in wires_of}
    header = [position for _, position in profile.header if position in used]
    kinds = {one.name: one.kind for one in profile.sensors}
    connectors: dict[str, Any] = {
        "BOARD": {
            "type": profile.name,
            "subtype": "pin header",
            "pins": [_pin(position) for position in header],
            "pinlabels": [used[position] for position in header],
            "show_name": False,
        }
    }
    cables: dict[str, Any] = {}
    connections = []
    for device, its in by_device.items():
        kind = sensor_kinds()[kinds[device]].name if device in kinds else "status LED, not on the board"
        one = {"type": device.upper(), "subtype": kind, "pinlabels": [wire.label for wire in its], "show_name": False}
        notes = _notes(profile, device)
        connectors[device] = {**one, "notes": notes} if notes else one
        cables[f"to {device}"] = {"colors": [_COLOURS[wire.colour] for wire in its], "show_wirenumbers": False}
        numbers = list(range(1, len(its) + 1))
        pins = [_pin(wire.position) for wire in its]
        connections.append([{"BOARD": pins}, {f"to {device}": numbers}, {device: numbers}])
    return {
        "metadata": {"title": profile.name},
        "connectors": connectors,
        "cables": cables,
        "connections": connections,
    }


def draw(profile: Profile, folder: Path) -> Path:
    """Write `<board>.yml`, for whoever wants to draw their own, and `<board>.svg` beside it; the latter is returned."""
    made = harness(profile)
    (folder / f"{profile.board}.yml").write_text(yaml.safe_dump(made, sort_keys=False))
    svg = parse(made, return_types="svg")
    path = folder / f"{profile.board}.svg"
    # The file names nothing that differs from one drawing to the next: neither version nor date.
    path.write_text(re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL))
    return path


def _pin(position: str) -> int | str:
    return int(position) if position.isdecimal() else position


def _notes(profile: Profile, device: str) -> str:
    said = [f"{ohm} ohm between DQ and VDD" for name, ohm in pull_ups(profile) if name == device]
    for names in exclusive(profile):
        if device in names:
            said.append(f"instead of {' or '.join(name for name in names if name != device)}")
    return "; ".join(said)
