"""Judges the vectors of the wire with the devices' core. The same file runs on CPython and on MicroPython.

`judged(name, vectors, verify)` gives one line a vector: `name: what came of it`, or `name: refused`. The lines are what
is compared: with what the vector says, and between interpreters. Faults that are no refusal are not caught.
"""

from binascii import hexlify

from device_client.core import (
    asking,
    cbor,
    client,
    cose,
    light,
    manifest,
    merkle,
    proofs,
    questions,
    received,
    releases,
    secret,
    statement,
    updates,
)
from device_client.core.cbor import Malformed, Map
from device_client.core.light import BadSignature

REFUSED = "refused"


def unhex(text):
    return bytes.fromhex(text)


def tree(value):
    """A value of cbor.json, from its JSON form."""
    if isinstance(value, dict):
        if "hex" in value:
            return unhex(value["hex"])
        return Map([(tree(key), tree(item)) for key, item in value["map"]])
    return [tree(item) for item in value] if isinstance(value, list) else value


def opened(message, public_key, genesis, channels, verify):
    """(statement id, statement, sets) of a whole `up` message. Raises Malformed or BadSignature."""
    if len(message) > statement.MESSAGE_BYTES_MAX:
        raise Malformed("too large")
    envelope, salt, readings = received.message(message)
    payload = light.Trust(genesis, public_key, verify).opened(envelope, cose.TYPE_STATEMENT, public_key)
    said = received.statement(payload)
    sets = None
    if said.kind == statement.KIND_ENROLL:
        received.enroll(said.body)
        if salt:
            raise Malformed("readings beside an enrolment")
    elif said.kind == statement.KIND_REPORT:
        received.report(said.body)
        if statement.commitment(salt, readings) != said.body[1]:
            raise Malformed("commitment")
        sets = received.readings(readings, channels)
    else:
        raise Malformed("kind")
    signed = cose.signed_bytes(cose.signer_id(public_key), cose.external_aad(cose.TYPE_STATEMENT, genesis), payload)
    return cose.identity(signed), said, sets


def channels_of(vector):
    """How many channels the readings of a vector have; those without readings have as many as anybody likes."""
    return len(vector["readings"][0]) - 1 if vector.get("readings") else 2


def statement_line(vector, everything, verify):
    message = unhex(vector.get("message", vector.get("hex")))
    key, genesis = unhex(everything["public_key"]), unhex(everything["genesis"])
    identity, said, sets = opened(message, key, genesis, channels_of(vector), verify)
    again = statement.sealed(said, cose.signer_id(key), genesis, lambda _: received.message(message)[0][-64:])
    assert again == (received.message(message)[0], identity), "built again, it is another"
    fields = (said.nonce, said.uptime_s, said.boot, said.kind, said.seq, said.prev, said.body, sets)
    return hexlify(identity).decode() + " " + shown(fields)


def shown(value):
    """One spelling of a value for all interpreters."""
    if isinstance(value, bytes):
        return hexlify(value).decode()
    if isinstance(value, (list, tuple)):
        return "[" + " ".join([shown(item) for item in value]) + "]"
    return str(value)


def trust_of(everything, verify):
    trust = light.Trust(unhex(everything["genesis"]), unhex(everything["root_key"]), verify)
    certificate = light.Certificate(1, light.ROLE_COORDINATOR, unhex(everything["coordinator_key"]), 0)
    trust.coordinators.append(certificate)
    trust.newest = 0
    return trust


def beacon_line(vector, everything, verify):
    data = unhex(vector["hex"])
    beacon = trust_of(everything, verify).accept_beacon(data)
    return shown([light.quote(data)] + cbor.decode(beacon.payload()))


def receipts_line(vector, everything, verify):
    sheet = trust_of(everything, verify).accept_sheet(unhex(vector["hex"]))
    return shown((sheet.incarnation, sheet.slot, sheet.rows))


def certificates_line(vector, everything, verify):
    trust = light.Trust(unhex(everything["genesis"]), unhex(everything["root_key"]), verify)
    trust.accept_certificates(unhex(vector["hex"]))
    return shown([trust._coordinator_key(at["beacon"]) for at in vector.get("keys_at", [])])


def cbor_line(vector, everything, verify):
    value = cbor.decode(unhex(vector["hex"]))
    assert cbor.encode(value) == unhex(vector["hex"]), "encoded again, it is another"
    assert "value" not in vector or value == tree(vector["value"]), vector
    return "accepted"


def merkle_line(vector, everything, verify):
    return shown(merkle.root_of([unhex(leaf) for leaf in vector["leaves"]]))


def secrets_line(vector, everything, verify):
    public, signature = unhex(vector["device_public"]), unhex(vector["token_signature"])
    message = statement.token_message(unhex(everything["genesis"]), public)
    assert verify(unhex(vector["token_public"]), message, signature), "token signature"
    device_id = cose.signer_id(public)
    password = secret.broker_password(unhex(vector["token_seed"]), device_id)
    username, first = secret.token_login(unhex(vector["token_seed"]), unhex(vector["token_public"]), device_id)
    network = everything["network"]
    topics = [client.enroll_topic(network, username), client.base_topic(network, device_id)]
    return shown([device_id, message, password, first] + topics)


def proofs_line(vector, everything, verify):
    data, name = unhex(vector["hex"]), vector["name"]
    if name.startswith("question: "):
        question = questions.parsed(data)
        assert question.encoded() == data, "encoded again, it is another"
        return shown((question.kind, question.log_size, question.log_root, question.subject, question.number))
    if name.startswith("piece: "):
        piece = asking.parse_piece(data)
        return shown((piece.kind, piece.subject, piece.number, piece.index, piece.total, piece.digest, piece.data))
    question = questions.parsed(unhex(vector["question"]))
    payload = trust_of(everything, verify).signed_at(data, cose.TYPE_PROOF, 0)
    calendar = asking.Calendar(*everything["calendar"])
    device, held = unhex(everything["device_id"]), unhex(everything["statement_id"])
    row = proofs.checked(payload, question, device, calendar, held)
    return "nothing" if row is None else shown(row)


def releases_line(vector, everything, verify):
    kind = vector["name"].split(":")[0]
    data = unhex(vector["hex"])
    if kind == "question":
        asked = releases.parsed(data)
        if asked.kind == manifest.KIND_CHUNK:
            assert manifest.chunk_question(asked.release, asked.file, asked.index) == data
            return shown((asked.kind, asked.release, asked.file, asked.index))
        assert manifest.manifest_question(asked.board, asked.running, asked.trouble, asked.reason) == data
        return shown((asked.kind, asked.board, asked.running, (asked.trouble, asked.reason)))
    if kind == "answer":
        return shown(manifest.parse_answer(data))
    if kind == "list":
        return shown(updates.checked_list(lambda at, length: data[at : at + length], len(data)))
    trust = light.Trust(unhex(everything["genesis"]), unhex(everything["root_key"]), verify)
    trust.accept_certificates(unhex(everything["keys"]))
    trust.newest = everything["newest_beacon"]
    held = updates.Held(everything["board"], everything["running"], everything["running"], everything["rolled_back"])
    found = updates.checked(data, trust, held, everything["time"])
    return shown(cbor.decode(found.payload()))


LINES = {
    "cbor": cbor_line,
    "statements": statement_line,
    "beacons": beacon_line,
    "certificates": certificates_line,
    "receipts": receipts_line,
    "merkle": merkle_line,
    "secrets": secrets_line,
    "proofs": proofs_line,
    "releases": releases_line,
}


def judged(name, everything, verify):
    lines = []
    for vector in everything["vectors"] + everything.get("invalid", []):
        try:
            answer = LINES[name](vector, everything, verify)
        except (Malformed, BadSignature, proofs.Wrong, manifest.Refused):
            answer = REFUSED
        lines.append(vector.get("name", "") + ": " + answer)
    return lines
