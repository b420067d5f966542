"""Whole `up` messages: what a device publishes, step by step, and messages that everybody must refuse."""

from typing import Any

from device_client.core import cbor, cose, notices, received, statement
from device_client.core.cbor import Map
from device_client.core.statement import KIND_ENROLL, KIND_REPORT, SALT_BYTES, U32_MAX, Statement
from tests.vectors.parts import GENESIS, as_json, public, seed, sign

DEVICE = "device 0"
NONCE = seed("quote")[:16]
SALT = seed("salt")[:SALT_BYTES]
PREV = seed("prev")[:16]
CHANNELS: list[object] = [["pm25", "\u00b5g/m\u00b3", -1], ["temperature", "Cel", -2]]
ROW_MAX = [-(2**31)] + [(-1) ** index * statement.I64_MAX for index in range(16)]


def token_signature(device: str = DEVICE, genesis: bytes = GENESIS) -> bytes:
    return sign("token 0", statement.token_message(genesis, public(device)))


def enroll_body(channels: list[object] = CHANNELS) -> list[object]:
    return [public(DEVICE), public("token 0"), token_signature(), 300, 1, 0x89283, channels]


def report(
    sets: list[list[int]], seq: int = 2, boot: int = 1, uptime_s: int = 61, told: list[list[int]] | None = None
) -> "Case":
    readings = cbor.encode(sets)
    body: list[object] = [0, statement.commitment(SALT, readings)]
    if told is not None:
        body.append(told)
    prev = b"" if seq == 1 else PREV
    return Case(Statement(NONCE, uptime_s, boot, KIND_REPORT, seq, prev, body), SALT, sets)


class Case:
    def __init__(self, said: Statement, salt: bytes = b"", sets: list[list[int]] | None = None) -> None:
        self.said = said
        self.salt = salt
        self.sets = sets
        self.readings = b"" if sets is None else cbor.encode(sets)


def enroll(channels: list[object] = CHANNELS) -> Case:
    return Case(Statement(NONCE, 7, 1, KIND_ENROLL, 1, b"", enroll_body(channels)))


def cases() -> list[tuple[str, Case]]:
    sixteen: list[object] = [
        ["abcdefghijklmnopqrstuvw_", "\u00b5" * 4 + "unit", (-1) ** index * 12] for index in range(16)
    ]
    last = Case(Statement(NONCE, U32_MAX, U32_MAX, KIND_ENROLL, U32_MAX, PREV, enroll_body([])))
    told = [[notices.CODE_MAX - 7 + index, U32_MAX] for index in range(notices.PAIRS_MAX)]
    largest = report([list(ROW_MAX) for _ in range(4)], U32_MAX, U32_MAX, U32_MAX, told)
    return [
        ("enroll", enroll()),
        ("enroll, sixteen channels", enroll(sixteen)),
        ("enroll, no channels, largest numbers", last),
        ("report, one set", report([[0, 123, -456]])),
        ("report, first of its boot", report([[0, 123, -456]], seq=1, boot=2)),
        ("report, missing values", report([[0, statement.MISSING, -456], [5000, 123, statement.MISSING]])),
        ("report, several sets, some before the beacon", report([[-60000, 1, 2], [-1, 3, 4], [59999, 5, 6]])),
        ("report, no sets", report([])),
        ("report, 64 sets", report([[index * 1000, index, -index] for index in range(64)])),
        ("report, 5 sets of 16 channels of 64 bits", report([list(ROW_MAX) for _ in range(5)])),
        ("report, largest numbers", report([[0, 0, 0]], U32_MAX, U32_MAX, U32_MAX)),
        ("report, one notice", report([[0, 123, -456]], told=[[notices.DROPPED, 1213]])),
        ("report, the lowest and the highest notice", report([], told=[[0, 0], [notices.CODE_MAX, U32_MAX]])),
        ("report, largest numbers, eight notices, 4 sets of 16 channels of 64 bits", largest),
    ]


def described(name: str, case: Case) -> dict[str, Any]:
    said = case.said
    kid = cose.signer_id(public(DEVICE))
    signed = cose.signed_bytes(kid, cose.external_aad(cose.TYPE_STATEMENT, GENESIS), said.payload())
    data, statement_id = statement.sealed(said, kid, GENESIS, lambda message: sign(DEVICE, message))
    message = statement.message(data, case.salt, case.readings)
    assert len(message) <= statement.MESSAGE_BYTES_MAX, name
    return {
        "name": name,
        "seed": seed(DEVICE).hex(),
        "public_key": public(DEVICE).hex(),
        "device_id": kid.hex(),
        "external_aad": cose.external_aad(cose.TYPE_STATEMENT, GENESIS).hex(),
        "eat_nonce": said.nonce.hex(),
        "uptime_s": said.uptime_s,
        "bootcount": said.boot,
        "kind": said.kind,
        "seq": said.seq,
        "prev": said.prev.hex(),
        "body": as_json(said.body),
        "salt": case.salt.hex(),
        "readings": case.sets,
        "readings_hex": case.readings.hex(),
        "payload": said.payload().hex(),
        "sig_structure": signed.hex(),
        "statement_id": statement_id.hex(),
        "signature": data[-64:].hex(),
        "envelope": data.hex(),
        "message": message.hex(),
    }


def claims(*changes: tuple[int, object], private: list[object] | None = None) -> bytes:
    """The claims of a good enrolment with some of them replaced."""
    held: dict[int, object] = {10: NONCE, 261: 7, 267: 1, -65537: [KIND_ENROLL, 1, b"", enroll_body()]}
    held.update(changes)
    if private is not None:
        held[-65537] = private
    return cbor.encode(Map([(key, held[key]) for key in received.CLAIMS if key in held]))


BAD_NOTICES: list[tuple[str, object]] = [
    ("no notices", []),
    ("notices as bytes", b"\x81\x82\x01\x01"),
    ("a notice that is no pair", [1, 1]),
    ("a notice without a value", [[1]]),
    ("a notice of three", [[1, 1, 1]]),
    ("a notice twice", [[1, 1], [1, 1]]),
    ("notices in another order", [[2, 1], [1, 1]]),
    ("nine notices", [[code, 1] for code in range(9)]),
    ("notice 64", [[64, 1]]),
    ("notice -1", [[-1, 1]]),
    ("notice is text", [["dropped", 1]]),
    ("notice value of 33 bits", [[1, 2**32]]),
    ("notice value is negative", [[1, -1]]),
    ("notice value is bytes", [[1, b"\x01"]]),
]


def enroll_with(index: int, value: object) -> bytes:
    body = enroll_body()
    body[index] = value
    return claims(private=[KIND_ENROLL, 1, b"", body])


def bad_payloads() -> list[tuple[str, bytes]]:
    """Payloads that are signed well and still refused."""
    said = report([[0, 1, 2]]).said
    pairs: list[tuple[object, object]] = [(10, NONCE), (261, 7), (267, 1), (-65537, [1, 1, b"", enroll_body()])]
    good = claims()
    before, after = good.split(b"\x19\x01\x05\x07")
    found = [
        ("claims in another order", cbor.encode(Map([pairs[0], pairs[2], pairs[1], pairs[3]]))),
        ("claims ordered as numbers", cbor.encode(Map([pairs[3], *pairs[:3]]))),
        ("a claim twice", cbor.encode(Map([pairs[0], pairs[0], *pairs[1:]]))),
        ("a claim more", cbor.encode(Map([(6, 1), *pairs]))),
        ("a claim more, behind", cbor.encode(Map([*pairs[:3], (268, 0), pairs[3]]))),
        ("a claim less", cbor.encode(Map([pairs[0], *pairs[2:]]))),
        ("claims as an array", cbor.encode([NONCE, 7, 1, [1, 1, b"", enroll_body()]])),
        ("claims under tag 61", b"\xd8\x3d" + good),
        ("trailing byte behind the claims", good + b"\x00"),
        ("eat_nonce of 15 bytes", claims((10, NONCE[:15]))),
        ("eat_nonce of 32 bytes", claims((10, NONCE * 2))),
        ("eat_nonce is text", claims((10, "a" * 16))),
        ("uptime is true", before + b"\x19\x01\x05" + b"\xf5" + after),
        ("uptime is null", before + b"\x19\x01\x05" + b"\xf6" + after),
        ("uptime is a float", before + b"\x19\x01\x05" + b"\xf9\x47\x00" + after),
        ("uptime is a double", before + b"\x19\x01\x05" + b"\xfb\x40\x1c\x00\x00\x00\x00\x00\x00" + after),
        ("uptime is a tagged number", before + b"\x19\x01\x05" + b"\xc1\x07" + after),
        ("uptime in two bytes", before + b"\x19\x01\x05" + b"\x18\x07" + after),
        ("uptime is negative", claims((261, -1))),
        ("uptime of 33 bits", claims((261, 2**32))),
        ("boot 0", claims((267, 0))),
        ("boot of 33 bits", claims((267, 2**32))),
        ("private claim of three", claims(private=[1, 1, b""])),
        ("private claim of five", claims(private=[1, 1, b"", enroll_body(), 0])),
        ("kind 0", claims(private=[0, 1, b"", enroll_body()])),
        ("kind 3, unknown to this version", claims(private=[3, 1, b"", []])),
        ("kind 256", claims(private=[256, 1, b"", enroll_body()])),
        ("kind is text", claims(private=["enroll", 1, b"", enroll_body()])),
        ("seq 0", claims(private=[1, 0, b"", enroll_body()])),
        ("seq 0 with a predecessor", claims(private=[1, 0, PREV, enroll_body()])),
        ("seq of 33 bits", claims(private=[1, 2**32, PREV, enroll_body()])),
        ("seq 1 with a predecessor", claims(private=[1, 1, PREV, enroll_body()])),
        ("seq 2 without a predecessor", claims(private=[1, 2, b"", enroll_body()])),
        ("predecessor of 15 bytes", claims(private=[1, 2, PREV[:15], enroll_body()])),
        ("predecessor of 32 bytes", claims(private=[1, 2, PREV * 2, enroll_body()])),
        ("body is no array", claims(private=[1, 1, b"", b""])),
        ("body holds a float", good.replace(cbor.encode(300), b"\xf9\x5c\xb0")),
        ("unknown kind with null inside", claims(private=[9, 1, b"", [0]]).replace(b"\x81\x00", b"\x81\xf6")),
        ("enroll of six", claims(private=[1, 1, b"", enroll_body()[:6]])),
        ("enroll of eight", claims(private=[1, 1, b"", [*enroll_body(), 0]])),
        ("enroll, key of 31 bytes", enroll_with(0, public(DEVICE)[:31])),
        ("enroll, token key is text", enroll_with(1, "a" * 32)),
        ("enroll, token signature of 63 bytes", enroll_with(2, token_signature()[:63])),
        ("enroll, interval 0", enroll_with(3, 0)),
        ("enroll, readings_public 2", enroll_with(4, 2)),
        ("enroll, place of 64 bits", enroll_with(5, 2**63)),
        ("enroll, place is negative", enroll_with(5, -1)),
        ("enroll, 17 channels", enroll_with(6, [["a", "", 0]] * 17)),
        ("enroll, channel of two", enroll_with(6, [["a", ""]])),
        ("enroll, channel without a name", enroll_with(6, [["", "", 0]])),
        ("enroll, channel name in capitals", enroll_with(6, [["Temperature", "Cel", 0]])),
        ("enroll, channel name of 25", enroll_with(6, [["a" * 25, "", 0]])),
        ("enroll, channel name is bytes", enroll_with(6, [[b"a", "", 0]])),
        ("enroll, unit of nine", enroll_with(6, [["a", "\u00b5" * 9, 0]])),
        ("enroll, unit of 13 bytes", enroll_with(6, [["a", "\U0001f4e1" * 3 + "a", 0]])),
        ("enroll, exponent 13", enroll_with(6, [["a", "", 13]])),
        ("enroll, exponent -13", enroll_with(6, [["a", "", -13]])),
        ("report, profile 1", claims(private=[2, 1, b"", [1, said.body[1]]])),
        ("report, commitment of 31 bytes", claims(private=[2, 1, b"", [0, bytes(31)]])),
        ("report of three", claims(private=[2, 1, b"", [0, said.body[1], 0]])),
        ("report of none", claims(private=[2, 1, b"", []])),
        ("report of four", claims(private=[2, 1, b"", [0, said.body[1], [[1, 1]], 0]])),
        *[("report, " + name, claims(private=[2, 1, b"", [0, said.body[1], told]])) for name, told in BAD_NOTICES],
    ]
    assert len({payload for _, payload in found} | {good}) == len(found) + 1, "a change that changes nothing"
    return found


def statements_file() -> dict[str, Any]:
    from tests.vectors.make_refused import refused

    return {
        "about": "Messages to `up`. Readings have two channels, in those that say so sixteen. Invalid: refused by all",
        "genesis": GENESIS.hex(),
        "public_key": public(DEVICE).hex(),
        "vectors": [described(name, case) for name, case in cases()],
        "invalid": refused(),
    }
