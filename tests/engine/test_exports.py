"""Readings as files: exact values, harmless texts, and SenML as RFC 8428 wants it."""

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.exports import SENML_SCALED, SENML_UNITS, Csv, Format, Json, Senml, moment
from coordinator.kernel.views import TimedReadingView
from coordinator.modules.sensing import UNITS

DEVICE = bytes(range(16))
CHANNELS = [("temperature", "Cel", -2), ("battery", "mV", 0), ("=1+1", "furlong", 3), ("temp ératur", "°C", -1)]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")  # RFC 8428 section 4.5.1
VALUES = ("v", "vs", "vb", "vd")


def reading(at: int, values: list[int | None]) -> TimedReadingView:
    return TimedReadingView(7, 1, at, 250, 6, 1_790_000_000_000 + at, values, at)


def written(made: Format, *pages: list[TimedReadingView]) -> str:
    return made.head() + "".join(made.rows(page) for page in pages) + made.tail()


def resolved(text: str) -> list[dict[str, Any]]:
    """A pack by the rules of RFC 8428 section 4.6; fails where one is broken."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), "a label twice"
        return dict(pairs)

    pack = json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=once)
    assert isinstance(pack, list) and pack, "a pack has at least one record"
    base: dict[str, Any] = {"bn": "", "bt": Decimal(0), "bu": ""}
    out = []
    for record in pack:
        assert record.keys() <= {"bn", "bt", "bu", "bver", "n", "u", "t", *VALUES}
        assert len([label for label in VALUES if label in record]) == 1, "exactly one value"
        base |= {label: record[label] for label in base if label in record}
        name, unit = base["bn"] + record.get("n", ""), record.get("u", base["bu"])
        assert NAME.fullmatch(name) and (not unit or unit in SENML_UNITS)
        time = base["bt"] + record.get("t", Decimal(0))
        assert time >= 2**28, "an absolute time"
        out.append({"n": name, "u": unit, "t": time, "v": record["v"]})
    return out


def test_senml() -> None:
    pages = [reading(1, [2150, 3300, 2, None]), reading(2, [None] * 4)], [reading(3, [-5, None, None, 213])]
    found = resolved(written(Senml(DEVICE, CHANNELS), *pages))
    base = f"edgetally:{DEVICE.hex()}:"
    t = Decimal("1790000000.001")
    assert found == [
        {"n": base + "temperature", "u": "Cel", "t": t, "v": Decimal("21.50")},
        {"n": base + "battery", "u": "V", "t": t, "v": Decimal("3.300")},
        {"n": base + "_1_1", "u": "", "t": t, "v": Decimal(2000)},
        {"n": base + "temperature", "u": "Cel", "t": Decimal("1790000000.003"), "v": Decimal("-0.05")},
        {"n": base + "temp__ratur", "u": "Cel", "t": Decimal("1790000000.003"), "v": Decimal("21.3")},
    ]


def test_senml_names_stay_apart_and_our_units_are_registered() -> None:
    same = [("a b", "Cel", 0), ("a_b", "Cel", 0), ("é", "Cel", 0)]
    names = [one["n"].rsplit(":", 1)[1] for one in resolved(written(Senml(DEVICE, same), [reading(1, [1, 2, 3])]))]
    assert len(set(names)) == 3
    assert {unit for unit, *_ in UNITS} <= SENML_UNITS
    assert all(unit in SENML_UNITS for unit, _ in SENML_SCALED.values())


def test_csv() -> None:
    text = written(Csv(DEVICE, CHANNELS), [reading(1, [-2150, 3300, None, 7])], [])
    head, row = csv.reader(io.StringIO(text))
    assert head[6:] == ["temperature (Cel)", "battery (mV)", "'=1+1 (furlong)", "temp ératur (°C)"]
    assert row == ["2026-09-21T14:13:20.001Z", "7", "6", "250", "1", "1", "-21.50", "3300", "", "0.7"]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\tx", 'a"b,c\r\nd', "\r=1"])
def test_no_text_of_a_device_is_a_formula(name: str) -> None:
    text = written(Csv(DEVICE, [(name, "", 0)]), [reading(1, [-5])])
    head, row = csv.reader(io.StringIO(text, newline=""))
    assert head[6][:1] not in ("=", "+", "-", "@", "\t", "\r") and len(head) == len(row) == 7
    assert re.fullmatch(r"-?\d+", row[6])


def test_json() -> None:
    pages = [reading(1, [2150, None, 1, 2])], [reading(2, [1, 2, 3, 4])]
    found = json.loads(written(Json(DEVICE, CHANNELS), *pages))
    assert found["device"] == DEVICE.hex() and found["channels"][1]["unit"] == "mV"
    assert found["readings"][0]["scaled"] == ["21.50", None, "1000", "0.2"]
    assert [one["seq"] for one in found["readings"]] == [1, 2] and "place" not in found["readings"][0]
    assert json.loads(written(Json(DEVICE, []), []))["readings"] == []


@given(
    st.lists(
        st.lists(st.tuples(st.integers(-(2**63) + 1, 2**63 - 1), st.integers(-12, 12)), min_size=1, max_size=3),
        max_size=4,
    )
)
def test_every_format_is_exact_for_every_value(rows: list[list[tuple[int, int]]]) -> None:
    for row in rows:
        channels = [(f"c{at}", "Pa", exponent) for at, (_, exponent) in enumerate(row)]
        one = [reading(1, [value for value, _ in row])]
        real = [Decimal(value).scaleb(exponent) for value, exponent in row]
        assert [each["v"] for each in resolved(written(Senml(DEVICE, channels), one))] == real
        assert [
            Decimal(text) for text in list(csv.reader(io.StringIO(written(Csv(DEVICE, channels), one))))[1][6:]
        ] == real
        told = json.loads(written(Json(DEVICE, channels), one))["readings"][0]["scaled"]
        assert [Decimal(text) for text in told] == real


def test_moments() -> None:
    assert moment(0) == "1970-01-01T00:00:00.000Z" and moment(10**18) == str(10**18)
