"""The same judgement as judge.py, made by the coordinator's own decoder: cbor2 and PyNaCl."""

import hashlib
import io
import re
import struct
from typing import Any

import cbor2

from coordinator.engine import genesis, header, log, wire
from coordinator.engine.wire import Refused
from coordinator.kernel.epochs import Calendar
from coordinator.modules.rewards import PAYOUTS
from device_client.core import cose, merkle, statement, verdicts
from tests.core.judge import REFUSED, channels_of, shown, unhex


def tree(value: Any) -> Any:
    if isinstance(value, dict):
        if "hex" in value:
            return unhex(value["hex"])
        return {frozen(tree(key)): tree(item) for key, item in value["map"]}
    return [tree(item) for item in value] if isinstance(value, list) else value


def frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def cbor_line(vector: Any, everything: Any) -> str:
    value = wire.decoded(unhex(vector["hex"]))
    assert "value" not in vector or value == tree(vector["value"]), "decoded, it is another"
    assert cbor2.dumps(value) == unhex(vector["hex"])
    return "accepted"


def statement_line(vector: Any, everything: Any) -> str:
    message = unhex(vector.get("message", vector.get("hex")))
    key, network = unhex(everything["public_key"]), unhex(everything["genesis"])
    envelope, salt, data = wire.message_parts(message)
    signed = wire.opened(envelope, cose.TYPE_STATEMENT, network, key)
    claims = wire.claims(signed.payload)
    body = wire.checked_body(claims)
    sets = None
    if claims.kind == statement.KIND_REPORT:
        if statement.commitment(salt, data) != body[1]:
            raise Refused(verdicts.BAD_COMMITMENT)
        sets = wire.readings(data, channels_of(vector))
    elif salt:
        raise Refused(verdicts.BAD_COMMITMENT)
    else:
        wire.enrolment_holds(signed.kid, body, network)
    fields = (claims.nonce, claims.uptime_s, claims.boot, claims.kind, claims.seq, claims.prev, body, sets)
    return f"{signed.id.hex()} {shown(fields)}"


def beacon_line(vector: Any, everything: Any) -> str:
    data = unhex(vector["hex"])
    network, key = unhex(everything["genesis"]), unhex(everything["coordinator_key"])
    beacon = wire.beacon(wire.opened(data, cose.TYPE_BEACON, network, key))
    return shown([hashlib.sha256(data).digest()[:16], *wire.decoded(beacon.payload())])


def certificates_line(vector: Any, everything: Any) -> str:
    network, root = unhex(everything["genesis"]), unhex(everything["root_key"])
    held = genesis.parse_certificates(unhex(vector["hex"]), network, root)
    return shown([genesis.coordinator_key(held, at["beacon"]) for at in vector.get("keys_at", [])])


def proofs_line(vector: Any, everything: Any) -> str:
    """Written apart from the devices' checks, with the coordinator's decoder, header and log."""
    data, name = unhex(vector["hex"]), vector["name"]
    if name.startswith(("question: ", "piece: ")):
        fields = wire.decoded(data) if len(data) <= 1024 else None
        refuse_unless(type(fields) is list and all(type(one) is bytes or _is_u64(one) for one in fields))
        kind, *rest = fields
        if name.startswith("question: "):
            refuse_unless(list(map(type, fields)) == [int, int, bytes, int, int] and len(fields[2]) == 32)
            refuse_unless(kind == 2 or (kind == 1 and fields[4] == 0))
        else:
            refuse_unless(list(map(type, fields)) == [int] * 5 + [bytes] * 2 and kind in (1, 2))
            _, _, index, total, digest, part = rest
            full = len(part) == 960 if index + 1 < total else 0 < len(part) <= 960
            refuse_unless(index < total <= 4 and len(digest) == 8 and full)
        return shown(fields)
    network, key = unhex(everything["genesis"]), unhex(everything["coordinator_key"])
    fields = wire.decoded(wire.opened(data, cose.TYPE_PROOF, network, key).payload)
    kind, size, root, subject, number = wire.decoded(unhex(vector["question"]))
    device = unhex(everything["device_id"])
    refuse_unless(
        type(fields) is list and len(fields) == 13 and fields[:6] == [kind, device, size, root, subject, number]
    )
    refuse_unless(list(map(type, fields[6:])) == [bytes, bytes, int, int, bytes, bytes, bytes])
    refuse_unless(all(0 <= one < 2**32 for one in fields[8:10]))
    payload, log_path, index, leaves, path, leaf = fields[6:12]
    if not payload:
        refuse_unless(fields[7:] == [b"", 0, 0, b"", b"", b""])
        return "nothing"
    found = header.parse_header(payload)
    refuse_unless(log.includes(merkle.leaf_hash(payload), found.number, size, hashes(log_path), root))
    expected = found.payouts_root if kind == 1 else found.statements_root
    refuse_unless(log.includes(merkle.leaf_hash(leaf), index, leaves, hashes(path), expected))
    return payout_line(everything, found, fields) if kind == 1 else own_statement_line(everything, fields)


def payout_line(everything: Any, found: header.Header, fields: Any) -> str:
    batch, epoch, deadline = everything["calendar"]
    calendar = Calendar(1, batch, epoch, deadline, 100)
    refuse_unless(fields[4] in calendar.closing(found.first_slot, found.last_slot))
    sizes = {entry.name: entry.size for entry in found.files}
    refuse_unless(sizes.get("payouts.rows") == len(fields[11]) * fields[9] and not fields[12])
    (row,) = PAYOUTS.unpack(fields[11])
    refuse_unless(row[:2] == (fields[4], fields[1]))
    return shown(row)


def own_statement_line(everything: Any, fields: Any) -> str:
    leaf, ids = fields[11:]
    refuse_unless(len(leaf) == 64)
    device, boot, first, last, count, digest = struct.unpack(">16sIIII32s", leaf)
    refuse_unless(device == fields[1] and boot << 32 | first <= fields[5] <= boot << 32 | last)
    if count > 4:
        refuse_unless(not ids and count <= last - first + 1)
    else:
        refuse_unless(hashlib.sha256(ids).digest() == digest and len(ids) == 32 * count)
        refuse_unless(unhex(everything["statement_id"]) in hashes(ids))
    return shown((device, boot, first, last, count, digest))


def hashes(path: bytes) -> list[bytes]:
    refuse_unless(len(path) % 32 == 0)
    return [path[at : at + 32] for at in range(0, len(path), 32)]


def _is_u64(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64


def refuse_unless(holds: bool) -> None:
    if not holds:
        raise Refused(verdicts.MALFORMED)


def releases_line(vector: Any, everything: Any) -> str:
    """Written apart from `device_client.core.manifest`, from the text of the wire."""
    data, kind = unhex(vector["hex"]), vector["name"].split(":")[0]
    refuse_unless(len(data) <= {"question": 64, "answer": 1024, "list": 12288, "manifest": 256}[kind])
    if kind == "list":
        return release_list_line(data)
    if kind == "manifest":
        return manifest_line(data, everything)
    fields = wire.decoded(data)
    refuse_unless(type(fields) is list)
    kinds = [type(one) for one in fields]
    if kind == "answer":
        refuse_unless(kinds == [int, bytes, int, int, bytes] and fields[0] in (3, 4) and len(fields[1]) == 8)
        refuse_unless(0 <= fields[2] <= 96 and 0 <= fields[3] < 2**32)
        whole = fields[0] == 3
        refuse_unless(1 <= len(fields[4]) <= (256 if whole else 900) and not (whole and fields[2] + fields[3]))
    elif kinds == [int, bytes, int, int]:
        refuse_unless(fields[0] == 4 and len(fields[1]) == 8 and 0 <= fields[2] <= 96 and 0 <= fields[3] <= 1000)
    else:
        refuse_unless(kinds == [int, str, int, list] and fields[0] == 3 and list(map(type, fields[3])) == [int, int])
        refuse_unless(re.fullmatch("[a-z0-9-]{1,32}", fields[1]) is not None and 0 <= fields[2] < 2**32)
        refuse_unless(0 <= fields[3][0] < 2**32 and 0 <= fields[3][1] <= 13)
    return shown(fields)


def release_list_line(data: bytes) -> str:
    paths, total, rest = [], 0, io.BytesIO(data)
    decoder = cbor2.CBORDecoder(rest)
    while rest.tell() < len(data):
        try:
            fields = decoder.decode()
        except cbor2.CBORDecodeError:
            raise Refused(verdicts.MALFORMED) from None
        refuse_unless(type(fields) is list and list(map(type, fields)) == [str, int, bytes] and len(fields[2]) == 32)
        path, size, _ = fields
        parts = path.split("/")
        refuse_unless(re.fullmatch("[A-Za-z0-9_./-]{1,64}", path) is not None and len(parts) <= 4)
        refuse_unless(all(part and part[0] not in ".-" for part in parts) and path not in ("files", "manifest.cose"))
        refuse_unless(0 <= size <= 131_072)
        paths.append(path)
        total += size
    refuse_unless(paths == sorted(set(paths)) and len(paths) <= 96 and total <= 524_288)
    return shown((len(paths), total))


def manifest_line(data: bytes, everything: Any) -> str:
    network, root = unhex(everything["genesis"]), unhex(everything["root_key"])
    certified = [
        one
        for one in genesis.parse_certificates(unhex(everything["keys"]), network, root)
        if one.role == 2 and one.from_beacon <= everything["newest_beacon"]
    ]
    key = max(certified, key=lambda one: one.serial).public_key
    fields = wire.decoded(wire.opened(data, cose.TYPE_MANIFEST, network, key).payload)
    refuse_unless(type(fields) is list and list(map(type, fields)) == [int, str, int, int, bytes])
    version, board, not_after, list_bytes, digest = fields
    refuse_unless(max(everything["running"], everything["rolled_back"]) < version < 2**32 - 1)
    refuse_unless(board == everything["board"] and everything["time"] <= not_after < 2**64)
    refuse_unless(0 < list_bytes <= 12_288 and len(digest) == 32)
    return shown(fields)


LINES = {
    "cbor": cbor_line,
    "statements": statement_line,
    "beacons": beacon_line,
    "certificates": certificates_line,
    "proofs": proofs_line,
    "releases": releases_line,
}


def judged(name: str, everything: Any) -> list[str]:
    lines = []
    for vector in everything["vectors"] + everything.get("invalid", []):
        try:
            answer = LINES[name](vector, everything)
        except Refused:
            answer = REFUSED
        lines.append(f"{vector['name']}: {answer}")
    return lines
