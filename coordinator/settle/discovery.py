"""Home Assistant's MQTT discovery: a retained message for each device that names its entities, and one with values.

    <prefix>/device/edgetally_<device>/config     the device-based discovery payload, in the documented abbreviations
    edgetally/<network>/home_assistant/<device>   the values, JSON; keys are ours (c0, c1, ...), never a channel's name
    edgetally/<network>/home_assistant/status     online or offline

Source: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload, .../sensor.mqtt/, .../sensor/. Names
come from devices: they are cut, freed of control characters, and stand only in `name`, which is no template.
"""

import json
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from coordinator.kernel.amounts import tokens
from coordinator.kernel.views import DeviceView, PayoutView, PresenceView, ReadingView

NAME_CHARACTERS_MAX = 48
UNIT_CHARACTERS_MAX = 16
EXPIRES_INTERVALS = 3
EXPIRES_SPARE_S = 60
ONLINE, OFFLINE = b"online", b"offline"


class Meaning(NamedTuple):
    """What a unit of ours is to Home Assistant; "" for none. A device class demands exactly its units."""

    unit: str
    device_class: str


MEANINGS = {
    "Cel": Meaning("°C", "temperature"),
    "%RH": Meaning("%", "humidity"),
    "Pa": Meaning("Pa", "atmospheric_pressure"),
    "lx": Meaning("lx", "illuminance"),
    "V": Meaning("V", "voltage"),
    "B": Meaning("B", "data_size"),
    "%": Meaning("%", ""),
    "/": Meaning("", ""),
    "count": Meaning("", ""),
}


class Topics(NamedTuple):
    network: str
    prefix: str

    @property
    def status(self) -> str:
        return f"edgetally/{self.network}/home_assistant/status"

    def state(self, device: bytes) -> str:
        return f"edgetally/{self.network}/home_assistant/{device.hex()}"

    def config(self, device: bytes) -> str:
        return f"{self.prefix}/device/edgetally_{device.hex()}/config"


def config_of(device: DeviceView, topics: Topics, version: str, expires_s: int, page: str, readings: bool) -> bytes:
    """The discovery payload. `page` is the address of the pages, "" for none; `readings`: whether channels are in."""
    unique = f"edgetally_{device.device.hex()}"
    registry: dict[str, object] = {
        "ids": [unique],
        "name": f"Edgetally {device.device.hex()[:8]}",
        "mf": "Edgetally",
        "mdl": f"{topics.network}, {cleaned(device.standing, NAME_CHARACTERS_MAX)}",
        "sn": device.device.hex(),
    }
    if page:
        registry["cu"] = f"{page}/devices/{device.device.hex()}"
    entities: dict[str, dict[str, object]] = {}
    for index, (name, unit, exponent) in enumerate(device.channels if readings else ()):
        entities[f"c{index}"] = {
            "name": cleaned(name, NAME_CHARACTERS_MAX) or f"channel {index}",
            "stat_cla": "measurement",
            "sug_dsp_prc": max(0, -exponent),
            "exp_aft": expires_s,
            **_meant(unit),
        }
    diagnostic = {"ent_cat": "diagnostic"}
    entities["uptime"] = {"name": "Uptime this epoch", "stat_cla": "measurement", "unit_of_meas": "%", **diagnostic}
    entities["epoch"] = {"name": "Earned last epoch", "stat_cla": "measurement", "unit_of_meas": "tokens"}
    entities["lifetime"] = {"name": "Earned in all", "stat_cla": "total", "unit_of_meas": "tokens"}
    entities["seen"] = {"name": "Last seen", "dev_cla": "timestamp", **diagnostic}
    for key, entity in entities.items():
        entity |= {"p": "sensor", "uniq_id": f"{unique}_{key}", "val_tpl": f"{{{{ value_json.{key} }}}}"}
    return _json(
        {
            "dev": registry,
            "o": {"name": "edgetally", "sw": version},
            "avty": [{"t": topics.status}],
            "stat_t": topics.state(device.device),
            "cmps": entities,
        }
    )


def state_of(
    device: DeviceView,
    newest: ReadingView | None,
    presence: PresenceView | None,
    payout: PayoutView | None,
    seen_s: int | None,
) -> bytes:
    """The values. What is not known is null, which Home Assistant shows as unknown. `seen_s` is unix seconds."""
    fields: dict[str, object] = {}
    for index, (_, _, exponent) in enumerate(device.channels if newest else ()):
        assert newest is not None
        value = newest.values[index] if index < len(newest.values) else None
        fields[f"c{index}"] = None if value is None else format(Decimal(value).scaleb(exponent), "f")
    share = Decimal(100 * presence.windows_present) / presence.windows if presence and presence.windows else None
    fields["uptime"] = None if share is None else format(round(share, 1), "f")
    fields["epoch"] = tokens(payout.paid) if payout else None
    fields["lifetime"] = tokens(device.paid)
    fields["seen"] = datetime.fromtimestamp(seen_s, UTC).isoformat() if seen_s is not None else None
    return _json(fields)


def expires_s(device: DeviceView, batch_s: int) -> int:
    """After how many seconds without news a value is none any more; news come with batches."""
    return EXPIRES_INTERVALS * max(device.interval_s, batch_s) + EXPIRES_SPARE_S


def cleaned(text: str, characters_max: int) -> str:
    """Text of a stranger as one short line: no control, format, surrogate or unassigned characters, no template."""
    kept = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 4 * characters_max])
    return " ".join(kept.replace("{", "(").replace("}", ")").split())[:characters_max].strip()


def _meant(unit: str) -> dict[str, object]:
    found = MEANINGS.get(unit) or Meaning(cleaned(unit, UNIT_CHARACTERS_MAX), "")
    said = {"unit_of_meas": found.unit, "dev_cla": found.device_class}
    return {name: value for name, value in said.items() if value}


def _json(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
