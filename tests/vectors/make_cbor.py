"""Items of deterministic CBOR, and bytes that are none."""

from typing import Any

from device_client.core import cbor
from device_client.core.cbor import Map
from tests.vectors.parts import as_json, invalid

EDGES = (0, 1, 23, 24, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1)


def nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def valid_items() -> list[tuple[str, object]]:
    items: list[tuple[str, object]] = [(f"integer {value}", value) for value in EDGES]
    items += [(f"integer {-1 - value}", -1 - value) for value in EDGES]
    items += [(f"byte string of {size}", bytes(size)) for size in (0, 1, 23, 24, 255, 256)]
    items += [(f"text of {size}", "a" * size) for size in (0, 1, 23, 24)]
    items += [(f"text {text}", text) for text in ("\u00b5g/m\u00b3", "\u20ac", "\U0001f4e1", "\x00")]
    items += [
        ("empty array", []),
        ("array of 24", list(range(24))),
        ("mixed array", [1, -1, b"\x00", "a", [], Map([])]),
    ]
    items += [("empty map", Map([])), ("map", Map([(1, -8), (4, bytes(16))]))]
    items += [("map ordered by bytes, not by length", Map([(100, 1), (-1, 2), (b"\x00", 3), ("", 4)]))]
    items += [("array as key", Map([([1], 1)])), ("map in map", Map([(1, Map([(1, 1)]))]))]
    items += [("nine levels", nested(8))]
    return items


# (name, hex, why)
INVALID = (
    ("empty", "", "truncated"),
    ("0 in two bytes", "1800", "not the shortest form"),
    ("23 in two bytes", "1817", "not the shortest form"),
    ("255 in three bytes", "1900ff", "not the shortest form"),
    ("65535 in five bytes", "1a0000ffff", "not the shortest form"),
    ("2^32 - 1 in nine bytes", "1b00000000ffffffff", "not the shortest form"),
    ("-1 in two bytes", "3800", "not the shortest form"),
    ("byte string length in two bytes", "580100", "not the shortest form"),
    ("text length in three bytes", "79000161", "not the shortest form"),
    ("array length in two bytes", "980101", "not the shortest form"),
    ("map length in two bytes", "b8010101", "not the shortest form"),
    ("indefinite byte string", "5f4100ff", "indefinite"),
    ("indefinite text", "7f6161ff", "indefinite"),
    ("indefinite array", "9f01ff", "indefinite"),
    ("indefinite map", "bf0101ff", "indefinite"),
    ("break alone", "ff", "indefinite"),
    ("reserved 28", "1c", "reserved"),
    ("reserved 30", "5e", "reserved"),
    ("negative indefinite", "3f", "reserved"),
    ("duplicate key", "a201010102", "duplicate key"),
    ("duplicate byte string key", "a2410001410002", "duplicate key"),
    ("keys out of order", "a202010101", "keys out of order"),
    ("keys by length, not by bytes", "a22001186402", "keys out of order"),
    ("keys out of order, nested", "81a202010101", "keys out of order"),
    ("tag 0, date text", "c074323031332d30332d32315432303a30343a30305a", "tag"),
    ("tag 1, epoch", "c11a514b67b0", "tag"),
    ("tag 2, big number", "c249010000000000000000", "tag"),
    ("tag 2, small big number", "c24101", "tag"),
    ("tag 3, negative big number", "c349010000000000000000", "tag"),
    ("tag 4, decimal fraction", "c48221196ab3", "tag"),
    ("tag 5, big float", "c5822003", "tag"),
    ("tag 18, not an envelope's place", "d28440a04040", "tag"),
    ("tag 24, embedded", "d8184101", "tag"),
    ("tag 25, string reference", "d81900", "tag"),
    ("tag 28 and 29, shared and cyclic", "d81c81d81d00", "tag"),
    ("tag 35, regular expression", "d8236161", "tag"),
    ("tag 37, uuid", "d82550" + "00" * 16, "tag"),
    ("tag 65, unknown", "d84101", "tag"),
    ("tag 256, string references", "d9010001", "tag"),
    ("tag 258, set", "d901028101", "tag"),
    ("tag 1000, unknown", "d903e801", "tag"),
    ("tag 55799, self-described", "d9d9f701", "tag"),
    ("tag of 64 bits", "dbffffffffffffffff01", "tag"),
    ("tag in an array", "8182c10102", "tag"),
    ("tag as key", "a1c10101", "tag"),
    ("half float 1.0", "f93c00", "float"),
    ("single float 1.0", "fa3f800000", "float"),
    ("double float 1.0", "fb3ff0000000000000", "float"),
    ("double float 0.1", "fb3fb999999999999a", "float"),
    ("half NaN", "f97e00", "float"),
    ("half infinity", "f97c00", "float"),
    ("false", "f4", "simple value"),
    ("true", "f5", "simple value"),
    ("null", "f6", "simple value"),
    ("undefined", "f7", "simple value"),
    ("simple 0", "e0", "simple value"),
    ("simple 32", "f820", "simple value"),
    ("simple 24 in two bytes", "f818", "simple value"),
    ("true in an array", "8201f5", "simple value"),
    ("null as value", "a101f6", "simple value"),
    ("null as key", "a1f601", "simple value"),
    ("ten levels", "81" * 9 + "80", "nested too deep"),
    ("ten levels of maps", "a101" * 9 + "01", "nested too deep"),
    ("a thousand levels", "81" * 1000 + "01", "nested too deep"),
    ("head cut", "19ff", "truncated"),
    ("byte string cut", "4300ff", "truncated"),
    ("text cut", "6261", "truncated"),
    ("array cut", "820a", "truncated"),
    ("map cut", "a101", "truncated"),
    ("byte string of 2^64 - 1", "5bffffffffffffffff", "length beyond the data"),
    ("text of 2^63 - 1", "7b7fffffffffffffff00", "length beyond the data"),
    ("array of 2^40", "9b000001000000000000", "length beyond the data"),
    ("map of 2^63", "bb800000000000000000", "length beyond the data"),
    ("array of 2^32 - 1", "9affffffff01", "length beyond the data"),
    ("trailing byte", "0100", "trailing bytes"),
    ("trailing break", "01ff", "trailing bytes"),
    ("two items", "4100a0", "trailing bytes"),
    ("text of a lone continuation", "6180", "not UTF-8"),
    ("text of 0xff", "61ff", "not UTF-8"),
    ("overlong slash", "62c0af", "not UTF-8"),
    ("overlong zero", "62c080", "not UTF-8"),
    ("overlong euro", "64f08282ac", "not UTF-8"),
    ("high surrogate", "63eda080", "not UTF-8"),
    ("surrogate pair", "66eda0bdedb8a0", "not UTF-8"),
    ("beyond U+10FFFF", "64f4908080", "not UTF-8"),
    ("character cut", "62e282", "not UTF-8"),
    ("five-byte form", "65f888808080", "not UTF-8"),
)


def cbor_file() -> dict[str, Any]:
    return {
        "about": "Deterministic CBOR of the wire: integers of 64 bits, byte strings, text, arrays, ordered maps",
        "vectors": [
            {"name": name, "value": as_json(value), "hex": cbor.encode(value).hex()} for name, value in valid_items()
        ],
        "invalid": [invalid(name, bytes.fromhex(data), why) for name, data, why in INVALID],
    }
