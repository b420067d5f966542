"""What the coordinator says: certificates of its key, beacons, receipt sheets."""

from typing import Any

from device_client.core import cbor, cose, light, merkle
from device_client.core.statement import U32_MAX, U64_MAX
from tests.vectors.parts import GENESIS, OTHER_GENESIS, envelope, invalid, malleated, public, seed

COORDINATOR = "coordinator"
DEVICE_ID = cose.signer_id(public("device 0"))
OTHER_ID = cose.signer_id(public("device 1"))
BEACON, RECEIPTS, OWNER = cose.TYPE_BEACON, cose.TYPE_RECEIPTS, cose.TYPE_OWNER


def trusted(about: str) -> dict[str, Any]:
    return {
        "about": about,
        "genesis": GENESIS.hex(),
        "root_key": public("root").hex(),
        "coordinator_key": public(COORDINATOR).hex(),
    }


def beacon_fields(number: int = 7, incarnation: int = 1, largest: bool = False) -> list[object]:
    time, size = (U64_MAX, U64_MAX) if largest else (1_790_000_000, 3)
    hashes = [seed(f"nonce {number}"), seed(f"next {number}"), seed("log root"), merkle.empty_root()]
    return [incarnation, number, time, hashes[0], hashes[1], size, hashes[2], hashes[3]]


def without(fields: list[object], index: int, *instead: object) -> bytes:
    return cbor.encode([*fields[:index], *instead, *fields[index + 1 :]])


def beacons_file() -> dict[str, Any]:
    valid = {
        "the first": beacon_fields(0),
        "another": beacon_fields(7),
        "largest numbers": beacon_fields(U64_MAX, U32_MAX, True),
    }
    names = ["incarnation", "number", "time", "nonce", "next_nonce_hash", "log_size", "log_root", "intake_root"]
    vectors = []
    for name, fields in valid.items():
        data = envelope(COORDINATOR, BEACON, cbor.encode(fields))
        shown = [field.hex() if isinstance(field, bytes) else field for field in fields]
        vector = {"name": name, **dict(zip(names, shown, strict=True))}
        vectors.append({**vector, "hex": data.hex(), "quote": light.quote(data).hex()})
    fields = valid["another"]
    good = cbor.encode(fields)
    data = envelope(COORDINATOR, BEACON, good)
    payloads = [
        ("seven fields", cbor.encode(fields[:7])),
        ("nine fields", cbor.encode([*fields, 0])),
        ("incarnation of 33 bits", without(fields, 0, 2**32)),
        ("number is negative", without(fields, 1, -1)),
        ("time is a float", good.replace(cbor.encode(fields[2]), bytes.fromhex("fb41daac2460000000"))),
        ("time is tagged", good.replace(cbor.encode(fields[2]), b"\xc1" + cbor.encode(fields[2]))),
        ("nonce of 31 bytes", without(fields, 3, bytes(31))),
        ("next nonce hash is text", without(fields, 4, "a" * 32)),
        ("log size is null", good.replace(b"\x03\x58\x20", b"\xf6\x58\x20", 1)),
        ("intake root missing", without(fields, 7)),
        ("fields as a map", cbor.encode(cbor.Map([(0, 1)]))),
        ("number in two bytes", b"\x88\x01\x18\x07" + good[3:]),
    ]
    found = [(name, envelope(COORDINATOR, BEACON, payload), "fields") for name, payload in payloads]
    found += signatures(BEACON, good, data)
    return {
        **trusted("Beacons, signed by the coordinator key"),
        "vectors": vectors,
        "invalid": [invalid(*one) for one in found],
    }


def signatures(envelope_type: str, payload: bytes, data: bytes) -> list[tuple[str, bytes, str]]:
    """Ways in which a good payload is not signed by the coordinator."""
    other = RECEIPTS if envelope_type == BEACON else BEACON
    flipped = bytes([*data[:-1], data[-1] ^ 0x10])
    return [
        ("signed by another", envelope("device 0", envelope_type, payload), "kid"),
        ("signed by the root", envelope("root", envelope_type, payload), "kid"),
        ("signature of another", data[:-64] + envelope("device 0", envelope_type, payload)[-64:], "signature"),
        ("another type", envelope(COORDINATOR, other, payload), "signature"),
        ("a statement", envelope(COORDINATOR, cose.TYPE_STATEMENT, payload), "signature"),
        ("another network", envelope(COORDINATOR, envelope_type, payload, OTHER_GENESIS), "signature"),
        ("S + L", malleated(data), "signature"),
        ("one bit", flipped, "signature"),
        ("trailing byte", data + b"\x00", "envelope"),
        ("payload alone", payload, "envelope"),
    ]


def certificate(serial: int, role: int, name: str, from_beacon: int, signer: str = "root") -> bytes:
    return envelope(signer, OWNER, light.Certificate(serial, role, public(name), from_beacon).payload())


def certificates_file() -> dict[str, Any]:
    first = certificate(1, light.ROLE_COORDINATOR, COORDINATOR, 0)
    second = certificate(2, light.ROLE_COORDINATOR, "coordinator 2", 100)
    firmware = certificate(3, light.ROLE_FIRMWARE, "firmware", 0)
    one, two, three = public(COORDINATOR).hex(), public("coordinator 2").hex(), public("coordinator 3").hex()
    last = certificate(2**32 - 1, light.ROLE_COORDINATOR, "coordinator 3", U64_MAX)
    sets: list[tuple[str, list[bytes], list[tuple[int, str]]]] = [
        ("one", [first], [(0, one), (U64_MAX, one)]),
        ("a successor from beacon 100 on", [first, second], [(0, one), (99, one), (100, two), (101, two)]),
        ("in any order", [second, firmware, first], [(99, one), (100, two)]),
        ("a firmware key is no coordinator's", [firmware, first], [(5, one)]),
        ("largest numbers", [first, last], [(U64_MAX - 1, one), (U64_MAX, three)]),
        ("sixteen", [first] * 15 + [second], [(100, two)]),
    ]
    vectors = [
        {
            "name": name,
            "hex": cbor.encode(parts).hex(),
            "keys_at": [{"beacon": beacon, "public_key": key} for beacon, key in expected],
        }
        for name, parts, expected in sets
    ]

    def said(*body: object) -> bytes:
        return cbor.encode([envelope("root", OWNER, cbor.encode(list(body)))])

    key = public(COORDINATOR)
    words = light.Certificate(1, light.ROLE_COORDINATOR, key, 0).payload()
    bad = [
        ("none", cbor.encode([]), "certificates"),
        ("seventeen", cbor.encode([first] * 17), "certificates"),
        ("not in an array", first, "certificates"),
        ("not wrapped", b"\x81" + first, "certificates"),
        ("signed by the coordinator", cbor.encode([certificate(1, 1, COORDINATOR, 0, COORDINATOR)]), "kid"),
        ("the second is forged", cbor.encode([first, second[:-1] + bytes([second[-1] ^ 0x10])]), "signature"),
        ("S + L", cbor.encode([malleated(first)]), "signature"),
        ("trailing byte", cbor.encode([first]) + b"\x00", "trailing bytes"),
        ("another network", cbor.encode([envelope("root", OWNER, words, OTHER_GENESIS)]), "signature"),
        ("owner message of kind 2", said(2, 1, [1, key, 0]), "certificate"),
        ("role 3", said(1, 1, [3, key, 0]), "role"),
        ("role 0", said(1, 1, [0, key, 0]), "role"),
        ("key of 31 bytes", said(1, 1, [1, key[:31], 0]), "key"),
        ("serial of 33 bits", said(1, 2**32, [1, key, 0]), "serial"),
        ("from_beacon is negative", said(1, 1, [1, key, -1]), "from_beacon"),
        ("body of two", said(1, 1, [1, key]), "body"),
        ("four parts", said(1, 1, [1, key, 0], 0), "certificate"),
    ]
    return {
        **trusted("The `keys` message: certificates under the root key, and whose key is in force at a beacon"),
        "vectors": vectors,
        "invalid": [invalid(*one) for one in bad],
    }


def receipts_file() -> dict[str, Any]:
    row: list[object] = [DEVICE_ID, 1, 2, bytes(range(8)), 0]
    other: list[object] = [OTHER_ID, U32_MAX, U32_MAX, b"\xff" * 8, 63]
    full: list[list[object]] = [[DEVICE_ID, 3, number % 24, bytes([number]) * 8, number % 16] for number in range(30)]
    sheets: list[tuple[str, int, int, list[list[object]]]] = [
        ("one row", 1, 7, [row]),
        ("two devices, largest numbers", U32_MAX, U64_MAX, [row, other]),
        ("as many of the shortest rows as fit", 1, 7, full),
        ("a code from a newer version", 1, 7, [[*row[:4], 255]]),
    ]
    vectors = []
    for name, incarnation, slot, rows in sheets:
        data = envelope(COORDINATOR, RECEIPTS, cbor.encode([incarnation, slot, rows]))
        assert len(data) <= light.SHEET_BYTES_MAX, name
        shown = [[field.hex() if isinstance(field, bytes) else field for field in one] for one in rows]
        vectors.append({"name": name, "incarnation": incarnation, "slot": slot, "rows": shown, "hex": data.hex()})
    good = cbor.encode([1, 7, [row]])
    payloads = [
        ("no rows", cbor.encode([1, 7, []])),
        ("33 rows", cbor.encode([1, 7, [[b"", 1, 1, b"", 0]] * 33])),
        ("row of four", cbor.encode([1, 7, [row[:4]]])),
        ("row of six", cbor.encode([1, 7, [[*row, 0]]])),
        ("device id of 15 bytes", cbor.encode([1, 7, [[DEVICE_ID[:15], *row[1:]]]])),
        ("boot of 33 bits", cbor.encode([1, 7, [[DEVICE_ID, 2**32, *row[2:]]]])),
        ("seq is negative", cbor.encode([1, 7, [[DEVICE_ID, 1, -1, *row[3:]]]])),
        ("id8 of seven bytes", cbor.encode([1, 7, [[DEVICE_ID, 1, 2, bytes(7), 0]]])),
        ("code 256", cbor.encode([1, 7, [[*row[:4], 256]]])),
        ("code is false", good[:-1] + b"\xf4"),
        ("code in two bytes", good[:-1] + b"\x18\x00"),
        ("row is a map", cbor.encode([1, 7, [cbor.Map([(0, 1)])]])),
        ("four fields", cbor.encode([1, 7, [row], 0])),
        ("slot is text", cbor.encode([1, "7", [row]])),
        ("incarnation of 33 bits", cbor.encode([2**32, 7, [row]])),
        ("more than 1024 bytes", cbor.encode([1, 7, [other] * 30])),
    ]
    found = [(name, envelope(COORDINATOR, RECEIPTS, payload), "fields") for name, payload in payloads]
    found += signatures(RECEIPTS, good, envelope(COORDINATOR, RECEIPTS, good))
    return {
        **trusted("Receipt sheets, signed by the coordinator key"),
        "vectors": vectors,
        "invalid": [invalid(*one) for one in found],
    }
