"""Every wire of every page and diagram, held against the bare files; every diagram drawn by WireViz and graphviz."""

import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from device_client.profiles import HARDWARE, load_profile, profiles
from device_client.wiring import exclusive, pull_ups, wires
from tests.docs.diagrams import draw, harness
from tests.parts import require_graphviz


def bare(board: str) -> tuple[dict[str, Any], dict[str, list[str]], dict[str, Any]]:
    """Board, positions of each label of its header, and kinds of sensor, read without the loader."""
    found = tomllib.loads((HARDWARE / "boards" / f"{board}.toml").read_text())
    header = tomllib.loads((HARDWARE / "headers.toml").read_text())[found["header"]]["pins"]
    places: dict[str, list[str]] = {}
    for label, position in header:
        places.setdefault(label, []).append(position)
    return found, places, tomllib.loads((HARDWARE / "sensors.toml").read_text())


@pytest.mark.parametrize("board", profiles())
def test_every_wire_ends_where_the_profile_says(board: str) -> None:
    found, places, kinds = bare(board)
    buses = {bus["name"]: bus["pins"] for bus in found["buses"]}
    wanted = {("led", "GPIO2"), ("led", "GND")} if board == "esp32-devkitc" else set()
    for sensor in found["sensors"]:
        for _, role in kinds[sensor["kind"]]["wires"]:
            pins = buses[sensor["bus"]]
            wanted.add((sensor["name"], f"GPIO{pins[role]}" if role in pins else role))
    made = wires(load_profile(board))
    assert {(one.device, one.pin) for one in made} == wanted
    assert all(one.position in places[one.pin] for one in made)


def test_a_wire_by_hand() -> None:
    """I2C of each board, as its maker's table has it."""
    seen = {(one.label, one.position) for one in wires(load_profile("esp32-devkitc")) if one.device == "bme280"}
    assert {("SCL", "J3-3"), ("SDA", "J3-6"), ("VIN", "J1-1")} < seen
    seen = {(one.label, one.position) for one in wires(load_profile("raspberry-pi-5")) if one.device == "bme280"}
    assert {("SCL", "5"), ("SDA", "3"), ("VIN", "1")} < seen


def test_a_serial_line_is_crossed() -> None:
    """What the board sends is what the sensor receives: TX to RX."""
    for board in profiles():
        profile = load_profile(board)
        pins = {bus.name: bus.pins for bus in profile.buses}
        for sensor in (one for one in profile.sensors if one.kind in ("pms5003", "gps")):
            ends = {one.label: one.pin for one in wires(profile) if one.device == sensor.name}
            assert ends["RX"] == f"GPIO{pins[sensor.bus]['tx']}"
            assert ends["TX"] == f"GPIO{pins[sensor.bus]['rx']}"


def test_power_pins_are_taken_in_turn() -> None:
    grounds = [one.position for one in wires(load_profile("raspberry-pi-4")) if one.pin == "GND"]
    assert len(grounds) == 6 and len(set(grounds)) == 6


def test_what_excludes_each_other_is_known() -> None:
    assert exclusive(load_profile("esp32-c3-devkitm")) == [["pms5003", "gps"]]
    assert exclusive(load_profile("esp32-devkitc")) == []
    assert pull_ups(load_profile("esp32-devkitc")) == [("ds18b20", 4700)]


@pytest.mark.parametrize("board", profiles())
def test_the_diagram_is_drawn(board: str, tmp_path: Path) -> None:
    require_graphviz()
    profile = load_profile(board)
    picture = ET.parse(draw(profile, tmp_path)).getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    words = {(one.text or "").strip() for one in picture.iter("{http://www.w3.org/2000/svg}text")}
    for wire in wires(profile):
        assert {wire.device.upper(), wire.label, wire.pin, wire.position} <= words
    assert (tmp_path / f"{board}.yml").stat().st_size > 500


def test_the_diagram_says_what_the_wires_say() -> None:
    for board in profiles():
        profile = load_profile(board)
        made = harness(profile)
        labels = dict(zip(made["connectors"]["BOARD"]["pins"], made["connectors"]["BOARD"]["pinlabels"], strict=True))
        drawn = set()
        for ends in made["connections"]:
            (device, numbers), pins = next(iter(ends[2].items())), ends[0]["BOARD"]
            for pin, number in zip(pins, numbers, strict=True):
                drawn.add((device, made["connectors"][device]["pinlabels"][number - 1], labels[pin], str(pin)))
        assert drawn == {(one.device, one.label, one.pin, one.position) for one in wires(profile)}
