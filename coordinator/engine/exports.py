"""A device's readings as files: CSV, JSON and SenML (RFC 8428), piece by piece, so that no export is ever held whole.

Values are exact: an integer and a decimal exponent become decimal text, never a float. A channel's name and unit are
the device's own words; what could be a formula, or no name, is made harmless.
"""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import NamedTuple, Protocol

from coordinator.kernel.views import TimedReadingView

Channels = Sequence[tuple[str, str, int]]  # name, unit, decimal exponent

# Units of the SenML registry: RFC 8428 section 12.1 and RFC 8798 section 2.
_REGISTERED = (
    "m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 l m/s m/s2 m3/s l/s W/m2"
    " cd/m2 bit bit/s lat lon pH dB dBW Bspl count / % %RH %EL EL 1/s 1/min beat/min beats S/m B VA VAs var vars J/m"
    " kg/m3 deg"
)
SENML_UNITS = frozenset(_REGISTERED.split())
# What is not in it, as a unit that is: exact powers of ten only.
SENML_SCALED = {
    "°C": ("Cel", 0),
    "hPa": ("Pa", 2),
    "kPa": ("Pa", 3),
    "mV": ("V", -3),
    "mA": ("A", -3),
    "mW": ("W", -3),
    "kW": ("W", 3),
    "ms": ("s", -3),
    "mm": ("m", -3),
    "cm": ("m", -2),
    "km": ("m", 3),
    "kHz": ("Hz", 3),
    "MHz": ("Hz", 6),
    "ppm": ("/", -6),
    "ug/m3": ("kg/m3", -9),
    "µg/m3": ("kg/m3", -9),
    "kB": ("B", 3),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NOT_SENML = re.compile(r"[^A-Za-z0-9\-:./_]")


class Format(Protocol):
    """Text of an export: once `head`, then `rows` as often as there are pages, then `tail`."""

    content_type: str
    is_never_empty: bool  # the format has no way to say that there is nothing

    def head(self) -> str: ...

    def rows(self, readings: Sequence[TimedReadingView]) -> str: ...

    def tail(self) -> str: ...


class Csv:
    """RFC 4180 with a header line. A cell that begins like a formula is a number of ours, never a text."""

    content_type = "text/csv"
    is_never_empty = False

    def __init__(self, device: bytes, channels: Channels) -> None:
        self._channels = channels

    def head(self) -> str:
        names = [f"{name} ({unit})" for name, unit, _ in self._channels]
        return _line(["time", "slot", "quoted", "dt_ms", "boot", "seq", *names])

    def rows(self, readings: Sequence[TimedReadingView]) -> str:
        return "".join(self._row(one) for one in readings)

    def _row(self, one: TimedReadingView) -> str:
        place = (one.slot, one.quoted, one.dt_ms, one.boot, one.seq)
        numbers = [str(number) for number in place] + [text or "" for text in scaled(one, self._channels)]
        return ",".join([moment(one.time_ms), *numbers]) + "\r\n"

    def tail(self) -> str:
        return ""


class Json:
    """One object; its `readings` are as in the API, each with its time."""

    content_type = "application/json"
    is_never_empty = False

    def __init__(self, device: bytes, channels: Channels) -> None:
        self._channels = channels
        described = [{"name": name, "unit": unit, "exponent": exponent} for name, unit, exponent in channels]
        self._head = f'{{"device": "{device.hex()}", "channels": {json.dumps(described)}, "readings": ['
        self._first = True

    def head(self) -> str:
        return self._head

    def rows(self, readings: Sequence[TimedReadingView]) -> str:
        made = [json.dumps(self._row(one)) for one in readings]
        separator = "" if self._first or not made else ",\n"
        self._first = self._first and not made
        return separator + ",\n".join(made)

    def _row(self, one: TimedReadingView) -> dict[str, object]:
        fields = {name: value for name, value in one._asdict().items() if name not in ("place", "time_ms")}
        return {"time": moment(one.time_ms), **fields, "scaled": scaled(one, self._channels)}

    def tail(self) -> str:
        return "]}\n"


class Senml:
    """A SenML pack (RFC 8428): base name `edgetally:<device>:`, base time that of the reading set. A unit outside of
    the registry becomes one in it where that is a power of ten, else the record has none. A pack has at least one
    record, so a caller asks `rows` for some before it sends the head."""

    content_type = "application/senml+json"
    is_never_empty = True

    def __init__(self, device: bytes, channels: Channels) -> None:
        self._base = f"edgetally:{device.hex()}:"
        self._channels = _senml_channels(channels)
        self._first = True

    def head(self) -> str:
        return "["

    def rows(self, readings: Sequence[TimedReadingView]) -> str:
        made = [record for one in readings for record in self._records(one)]
        separator = "" if self._first or not made else ",\n"
        self._first = self._first and not made
        return separator + ",\n".join(made)

    def _records(self, one: TimedReadingView) -> list[str]:
        out: list[str] = []
        for channel, value in zip(self._channels, one.values, strict=False):
            if value is None:
                continue
            fields = {"bn": self._base} if self._first and not out else {}
            base = json.dumps(fields)[1:-1]
            time = f'"bt": {decimal(one.time_ms, -3)}' if not out else ""
            unit = f'"u": {json.dumps(channel.unit)}' if channel.unit else ""
            parts = [base, time, f'"n": "{channel.name}"', unit, f'"v": {decimal(value, channel.exponent)}']
            out.append("{" + ", ".join(part for part in parts if part) + "}")
        return out

    def tail(self) -> str:
        return "]\n"


FORMATS: dict[str, type[Csv] | type[Json] | type[Senml]] = {"csv": Csv, "json": Json, "senml": Senml}


class _SenmlChannel(NamedTuple):
    name: str
    unit: str  # "" where the registry has none for it
    exponent: int


def _senml_channels(channels: Channels) -> list[_SenmlChannel]:
    """Names with the characters that RFC 8428 section 4.5.1 allows, each once."""
    found: list[_SenmlChannel] = []
    for index, (name, unit, exponent) in enumerate(channels):
        registered, shift = (unit, 0) if unit in SENML_UNITS else SENML_SCALED.get(unit, ("", 0))
        allowed = _NOT_SENML.sub("_", name) or "_"
        if any(one.name == allowed for one in found):
            allowed = f"{allowed}.{index}"
        found.append(_SenmlChannel(allowed, registered, exponent + shift))
    return found


def scaled(one: TimedReadingView, channels: Channels) -> list[str | None]:
    """Values in the units of their channels, as exact decimal text; None where a sensor gave none."""
    pairs = zip(one.values, channels, strict=False)
    return [None if value is None else decimal(value, exponent) for value, (_, _, exponent) in pairs]


def decimal(value: int, exponent: int) -> str:
    """value * 10^exponent in plain decimal notation, exactly; a JSON number."""
    with localcontext() as context:
        context.prec = 64
        return f"{Decimal(value).scaleb(exponent):f}"


def moment(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds; a time outside of the calendar as its number."""
    try:
        return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{time_ms % 1000:03d}Z"
    except (ValueError, OverflowError, OSError):
        return str(time_ms)


def _line(cells: Sequence[str]) -> str:
    return ",".join(_cell(each) for each in cells) + "\r\n"


def _cell(text: str) -> str:
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n\t;\']', text) else text
