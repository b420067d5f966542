"""Deterministic CBOR (RFC 8949 section 4.2.1), the subset that the wire uses.

Types: integers of 64 bits, byte strings, text, arrays, and maps. No floats, no simple values, no indefinite lengths;
the only tag of the wire (18, COSE_Sign1) belongs to `cose`. A map is a `Map` of pairs in the order of the bytes,
because a MicroPython dict does not keep the order of insertion.
"""

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEPTH_MAX = 8


class Malformed(ValueError):
    """The bytes are not the deterministic encoding of anything that the wire knows."""


class Map:
    """Pairs (key, value) in the order in which they are encoded."""

    def __init__(self, pairs: "list[tuple[object, object]]") -> None:
        self.pairs = pairs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Map) and self.pairs == other.pairs

    def __repr__(self) -> str:
        return "Map(%r)" % (self.pairs,)


def head(major: int, argument: int) -> bytes:
    """Initial byte and argument in the shortest form."""
    first = major << 5
    if argument < 24:
        return bytes((first | argument,))
    if argument < 0x100:
        return bytes((first | 24, argument))
    if argument < 0x10000:
        return struct.pack(">BH", first | 25, argument)
    if argument < 0x100000000:
        return struct.pack(">BI", first | 26, argument)
    if argument < 0x10000000000000000:
        return struct.pack(">BQ", first | 27, argument)
    raise Malformed("integer beyond 64 bits")


def encode(value: object) -> bytes:
    """One data item. Raises Malformed for a type or size that the wire does not have."""
    kind = type(value)
    if isinstance(value, bool):
        raise Malformed("no encoding for bool")
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, (bytes, bytearray)):
        return head(2, len(value)) + bytes(value)
    if isinstance(value, str):
        raw = value.encode()
        return head(3, len(raw)) + raw
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join([encode(item) for item in value])
    if isinstance(value, Map):
        pairs = [encode(key) + encode(item) for key, item in value.pairs]
        return head(5, len(pairs)) + b"".join(pairs)
    raise Malformed("no encoding for %s" % kind.__name__)


def decode(data: bytes) -> object:
    """The one item that `data` is. Raises Malformed for anything that `encode` would not have written."""
    value, end = decode_item(data, 0, 0)
    if end != len(data):
        raise Malformed("trailing bytes")
    return value


def decode_item(data: bytes, at: int, depth: int) -> "tuple[object, int]":
    """The item that begins at offset `at`, and the offset behind it."""
    if depth > DEPTH_MAX:
        raise Malformed("nested too deep")
    major, argument, at = _decode_head(data, at)
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major == 2 or major == 3:
        end = at + argument
        if end > len(data):
            raise Malformed("truncated")
        raw = bytes(data[at:end])
        return (_text(raw) if major == 3 else raw), end
    # Each element takes a byte at least: a length beyond the data needs no memory to be refused.
    if argument > len(data) - at:
        raise Malformed("truncated")
    if major == 4:
        items = []
        for _ in range(argument):
            item, at = decode_item(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        pairs = []
        last = b""
        for _ in range(argument):
            start = at
            key, at = decode_item(data, at, depth + 1)
            raw = bytes(data[start:at])
            if raw <= last:
                raise Malformed("map keys out of order")
            last = raw
            value, at = decode_item(data, at, depth + 1)
            pairs.append((key, value))
        return Map(pairs), at
    raise Malformed("tag or simple value")


def _decode_head(data: bytes, at: int) -> "tuple[int, int, int]":
    if at >= len(data):
        raise Malformed("truncated")
    first = data[at]
    major, info = first >> 5, first & 31
    at += 1
    if info < 24:
        return major, info, at
    if info > 27:
        raise Malformed("indefinite or reserved length")
    size = 1 << (info - 24)
    if at + size > len(data):
        raise Malformed("truncated")
    argument = int.from_bytes(data[at : at + size], "big")
    if argument < (24, 0x100, 0x10000, 0x100000000)[info - 24]:
        raise Malformed("not the shortest form")
    return major, argument, at + size


def _text(raw: bytes) -> str:
    # Checked by hand: MicroPython's decoder lets overlong forms, surrogates and more pass, and encodes them unchanged.
    at = 0
    while at < len(raw):
        code = raw[at]
        size = 1 if code < 0x80 else 2 if code < 0xE0 else 3 if code < 0xF0 else 4
        if size > 1:
            code &= 0x7F >> size
            for byte in raw[at + 1 : at + size]:
                code = code << 6 | (byte & 0x3F if byte & 0xC0 == 0x80 else 0x400000)
            shortest = (0, 0, 0x80, 0x800, 0x10000)[size]
            if not 0xC2 <= raw[at] <= 0xF4 or not shortest <= code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise Malformed("not UTF-8")
        at += size
    if at != len(raw):
        raise Malformed("not UTF-8")
    return raw.decode()


def is_uint(value: "Any", maximum: int) -> bool:
    return type(value) is int and 0 <= value <= maximum
