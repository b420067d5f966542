"""The same judgement as judge.py, made by the coordinator's own decoder: cbor2 and PyNaCl."""

import hashlib
from typing import Any

import cbor2

from coordinator.engine import genesis, wire
from coordinator.engine.wire import Refused
from device_client.core import cose, statement, verdicts
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


LINES = {
    "cbor": cbor_line,
    "statements": statement_line,
    "beacons": beacon_line,
    "certificates": certificates_line,
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
