"""The discovery payload against the documented schema, also for devices that name their channels as they like."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.kernel.views import DeviceView, PayoutView, PresenceView, ReadingView
from coordinator.modules.sensing import UNITS
from coordinator.settle.discovery import MEANINGS, NAME_CHARACTERS_MAX, Topics, cleaned, config_of, expires_s, state_of

SCHEMA = json.loads((Path(__file__).with_name("home_assistant_discovery.json")).read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA)
TOPICS = Topics("mynet", "homeassistant")
ID = bytes(range(16))
OWNER = bytes(16)
TOLD = [("temperature", "Cel", -2), ("humidity", "%RH", -1), ("pressure", "Pa", 0), ("light", "lx", 1)]
TOLD += [("supply", "V", -3), ("memory", "B", 0), ("disk", "%", 0), ("ratio", "/", -2), ("pulses", "count", 0)]


def view(channels: list[tuple[str, str, int]], public: bool = True) -> DeviceView:
    return DeviceView(ID, OWNER, "active", "", 0, 9, 600, public, channels, 5, 0, 7_500_000_000, 0, bytes(32))


def config(device: DeviceView, page: str = "https://example.org") -> dict[str, Any]:
    made: dict[str, Any] = json.loads(config_of(device, TOPICS, "0.1.0", 2000, page, device.readings_public))
    CHECK.validate(made)
    return made


def test_every_unit_of_ours_has_a_meaning() -> None:
    assert set(MEANINGS) == {rule[0] for rule in UNITS}


def test_a_device_with_every_unit() -> None:
    made = config(view(TOLD))
    entities = made["cmps"]
    assert entities["c0"]["unit_of_meas"] == "°C" and entities["c0"]["dev_cla"] == "temperature"
    assert entities["c0"]["name"] == "temperature" and entities["c0"]["exp_aft"] == 2000
    assert entities["c0"]["sug_dsp_prc"] == 2 and entities["c3"]["sug_dsp_prc"] == 0
    assert "dev_cla" not in entities["c6"] and "unit_of_meas" not in entities["c8"]
    assert {"uptime", "epoch", "lifetime", "seen"} < set(entities)
    assert made["dev"]["cu"] == f"https://example.org/devices/{ID.hex()}"
    assert made["avty"] == [{"t": "edgetally/mynet/home_assistant/status"}]
    unique = [entity["uniq_id"] for entity in entities.values()]
    assert len(set(unique)) == len(unique) == len(TOLD) + 4
    assert TOPICS.config(ID) == f"homeassistant/device/edgetally_{ID.hex()}/config"


def test_private_readings_are_not_even_named() -> None:
    assert set(config(view(TOLD, public=False), page="")["cmps"]) == {"uptime", "epoch", "lifetime", "seen"}


def test_values() -> None:
    device = view(TOLD[:4])
    payout = PayoutView(3, ID, OWNER, 1, 1, 0, 1_250_000_000, 0, 0, 0, 0)
    reading = ReadingView(9, 1, 4, 0, [2150, None, 101325, 3])
    state = json.loads(state_of(device, reading, PresenceView(4, 2, 3), payout, 1_800_000_000))
    assert state == {
        "c0": "21.50",
        "c1": None,
        "c2": "101325",
        "c3": "30",
        "uptime": "66.7",
        "epoch": "1.250000000",
        "lifetime": "7.500000000",
        "seen": "2027-01-15T08:00:00+00:00",
    }
    assert set(json.loads(state_of(device, None, None, None, None)).values()) == {None, "7.500000000"}
    short = json.loads(state_of(device, reading._replace(values=[1]), None, None, None))
    assert short["c3"] is None


def test_values_go_out_of_date_after_three_intervals() -> None:
    assert expires_s(view([]), 30) == 3 * 600 + 60 and expires_s(view([]), 1000) == 3060


HOSTILE = [
    "",
    " ",
    "\0",
    "a\r\nb",
    "{{ states('sensor.secret') }}",
    "{% raw %}",
    "\u202egnp.exe",
    "x" * 5000,
    "<script>",
]
HOSTILE += ["\ud800", "homeassistant/#", '","p":"switch', "\u2028", "٣", "🦀" * 100]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names(name: str) -> None:
    made = config(view([(name, name, -1)]))
    shown = made["cmps"]["c0"]["name"]
    assert 0 < len(shown) <= NAME_CHARACTERS_MAX and not set(shown) & set("{}\r\n\0\u202e\u2028")
    assert made["cmps"]["c0"]["p"] == "sensor" and made["cmps"]["c0"]["val_tpl"] == "{{ value_json.c0 }}"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=30), st.integers(-9, 9)), max_size=8))
def test_any_names(channels: list[tuple[str, str, int]]) -> None:
    made = config(view(channels))
    assert len(made["cmps"]) == len(channels) + 4


@given(st.text(), st.integers(1, 50))
def test_cleaned_text_stays_clean(text: str, limit: int) -> None:
    once = cleaned(text, limit)
    assert len(once) <= limit and cleaned(once, limit) == once


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("p", "switch"),
        ("unit_of_meas", "furlong"),
        ("uniq_id", ""),
        ("val_tpl", "{{ os }}"),
        ("stat_cla", "sum"),
        ("x", 1),
    ],
)
def test_the_schema_refuses_what_is_not_documented(change: str, value: object) -> None:
    made = config(view(TOLD))
    made["cmps"]["c0"][change] = value
    assert not CHECK.is_valid(made)
