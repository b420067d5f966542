"""The messages of statements.json that everybody must refuse: each has one thing wrong, and is signed over it."""

from device_client.core import cbor, cose, statement
from device_client.core.cbor import Map
from tests.vectors.make_statements import DEVICE, SALT, bad_payloads, claims, enroll_body, report
from tests.vectors.parts import GENESIS, OTHER_GENESIS, envelope, invalid, malleated, odd_envelope, public, sign

STATEMENT = cose.TYPE_STATEMENT


def protected(*pairs: tuple[object, object]) -> bytes:
    return cbor.encode(Map(list(pairs)))


def bad_envelopes() -> list[tuple[str, bytes, str]]:
    good = claims()
    kid = cose.signer_id(public(DEVICE))
    sound = envelope(DEVICE, STATEMENT, good)
    flipped = bytearray(sound)
    flipped[-1 - 63] ^= 1

    def odd(header: bytes) -> bytes:
        return odd_envelope(DEVICE, STATEMENT, good, protected=header)

    def headed(**changes: bytes) -> bytes:
        return odd_envelope(DEVICE, STATEMENT, good, **changes)  # type: ignore[arg-type]

    assert headed() == sound, "with nothing wrong it is the good one"
    return [
        ("no tag", sound[1:], "envelope"),
        ("tag 17", b"\xd1" + sound[1:], "envelope"),
        ("tag 18 in two bytes", b"\xd8\x12" + sound[1:], "envelope"),
        ("tag 55799 before it", b"\xd9\xd9\xf7" + sound, "envelope"),
        ("array of three", b"\xd2\x83" + sound[2:-66], "envelope"),
        ("array of five", b"\xd2\x85" + sound[2:] + b"\x00", "envelope"),
        ("trailing byte", sound + b"\x00", "envelope"),
        ("cut", sound[:-1], "envelope"),
        ("empty", b"", "envelope"),
        ("unprotected header with a kid", headed(unprotected=protected((4, kid))), "unprotected header"),
        ("unprotected header is an array", headed(unprotected=b"\x80"), "unprotected header"),
        ("unprotected header is indefinite", headed(unprotected=b"\xbf\xff"), "unprotected header"),
        ("payload is null", headed(raw_payload=b"\xf6"), "payload"),
        ("payload is text", headed(raw_payload=b"\x61a"), "payload"),
        ("payload is not wrapped", headed(raw_payload=good), "payload"),
        ("protected header is empty", odd(b""), "protected header"),
        ("protected header without kid", odd(protected((1, -8))), "protected header"),
        ("protected header without alg", odd(protected((4, kid))), "protected header"),
        ("alg ES256", odd(protected((1, -7), (4, kid))), "protected header"),
        ("alg Ed25519 of RFC 9864", odd(protected((1, -19), (4, kid))), "protected header"),
        ("alg is text", odd(protected((1, "EdDSA"), (4, kid))), "protected header"),
        ("kid of 15 bytes", odd(protected((1, -8), (4, kid[:15]))), "protected header"),
        ("kid of 32 bytes", odd(protected((1, -8), (4, kid * 2))), "protected header"),
        ("kid is text", odd(protected((1, -8), (4, "a" * 16))), "protected header"),
        ("kid before alg", odd(protected((4, kid), (1, -8))), "protected header"),
        ("a content type too", odd(protected((1, -8), (3, 0), (4, kid))), "protected header"),
        ("protected header with a trailing byte", odd(protected((1, -8), (4, kid)) + b"\x00"), "protected header"),
        ("protected header not in the shortest form", odd(b"\xa2\x01\x38\x07\x04\x50" + kid), "protected header"),
        ("kid of another key", odd(protected((1, -8), (4, bytes(16)))), "kid"),
        ("S + L", malleated(sound), "signature"),
        ("one bit of R", bytes(flipped), "signature"),
        ("signature of zeros", sound[:-64] + bytes(64), "signature"),
        ("R the neutral point, S zero", sound[:-64] + b"\x01" + bytes(63), "signature"),
        ("signature of 63 bytes", sound[:-66] + cbor.encode(sound[-64:-1]), "signature"),
        ("signature of 65 bytes", sound[:-66] + cbor.encode(sound[-64:] + b"\x00"), "signature"),
        ("signed by another key", sound[:-64] + envelope("device 1", STATEMENT, good)[-64:], "signature"),
        ("another network's", envelope(DEVICE, STATEMENT, good, OTHER_GENESIS), "signature"),
        ("an owner message", envelope(DEVICE, cose.TYPE_OWNER, good), "signature"),
        ("a beacon", envelope(DEVICE, cose.TYPE_BEACON, good), "signature"),
        ("a receipt sheet", envelope(DEVICE, cose.TYPE_RECEIPTS, good), "signature"),
        ("a header", envelope(DEVICE, cose.TYPE_HEADER, good), "signature"),
        ("signed without external_aad", sound[:-64] + sign(DEVICE, _signed_with(b"", good)), "signature"),
        ("signed as it is sent", sound[:-64] + sign(DEVICE, sound), "signature"),
    ]


def _signed_with(aad: bytes, payload: bytes) -> bytes:
    return cose.signed_bytes(cose.signer_id(public(DEVICE)), aad, payload)


def bad_messages() -> list[tuple[str, bytes, str]]:
    case = report([[0, 1, 2]])
    data = envelope(DEVICE, STATEMENT, case.said.payload())
    good = statement.message(data, case.salt, case.readings)

    def with_readings(readings: bytes) -> bytes:
        body: list[object] = [0, statement.commitment(SALT, readings)]
        payload = claims(private=[2, 1, b"", body])
        return cbor.encode([envelope(DEVICE, STATEMENT, payload), SALT, readings])

    enrolment = envelope(DEVICE, STATEMENT, claims())
    return [
        ("an envelope alone", data, "message"),
        ("empty message", b"", "message"),
        ("empty array", b"\x80", "message"),
        ("two parts", cbor.encode([data, case.salt]), "message"),
        ("four parts", cbor.encode([data, case.salt, case.readings, b""]), "message"),
        ("salt is text", cbor.encode([data, "a" * 16, case.readings]), "message"),
        ("salt is null", b"\x83" + cbor.encode(data) + b"\xf6" + cbor.encode(case.readings), "message"),
        ("salt of 15 bytes", cbor.encode([data, SALT[:15], case.readings]), "salt"),
        ("salt is empty", cbor.encode([data, b"", case.readings]), "salt"),
        ("readings not wrapped", b"\x83" + cbor.encode(data) + cbor.encode(SALT) + case.readings, "message"),
        ("trailing byte behind the message", good + b"\x00", "message"),
        ("message cut", good[:-1], "message"),
        ("1025 bytes", cbor.encode([data, SALT, bytes(1025 - len(good) + len(case.readings) - 2)]), "message"),
        ("report without readings", cbor.encode([data]), "commitment"),
        ("readings changed", cbor.encode([data, SALT, cbor.encode([[0, 1, 3]])]), "commitment"),
        ("salt changed", cbor.encode([data, bytes(16), case.readings]), "commitment"),
        ("readings beside an enrolment", cbor.encode([enrolment, SALT, case.readings]), "commitment"),
        ("readings are no array", with_readings(cbor.encode(1)), "readings"),
        ("readings are empty bytes", with_readings(b""), "readings"),
        ("reading set is no array", with_readings(cbor.encode([1, 2, 3])), "readings"),
        ("a value too few", with_readings(cbor.encode([[0, 1]])), "readings"),
        ("a value too many", with_readings(cbor.encode([[0, 1, 2, 3]])), "readings"),
        ("65 sets", with_readings(cbor.encode([[0, 1, 2]] * 65)), "readings"),
        ("a value is 2^63", with_readings(cbor.encode([[0, 1, 2**63]])), "readings"),
        ("a value is -2^63 - 1", with_readings(cbor.encode([[0, 1, -(2**63) - 1]])), "readings"),
        ("dt_ms is -2^63", with_readings(cbor.encode([[-(2**63), 1, 2]])), "readings"),
        ("dt is 2^64 - 1", with_readings(cbor.encode([[2**64 - 1, 1, 2]])), "readings"),
        ("a value is a float", with_readings(bytes.fromhex("81830001f93c00")), "readings"),
        ("a value is true", with_readings(bytes.fromhex("81830001f5")), "readings"),
        ("a value is null", with_readings(bytes.fromhex("81830001f6")), "readings"),
        ("a value is text", with_readings(cbor.encode([[0, 1, "2"]])), "readings"),
        ("a value not in the shortest form", with_readings(bytes.fromhex("818300011802")), "readings"),
        ("a trailing byte behind the readings", with_readings(case.readings + b"\x00"), "readings"),
    ]


def refused() -> list[dict[str, str]]:
    assert enroll_body()[0] == public(DEVICE)
    found = [invalid(name, data, why) for name, data, why in bad_messages()]
    found += [invalid(name, cbor.encode([data]), why) for name, data, why in bad_envelopes()]
    for name, payload in bad_payloads():
        salt, readings = (SALT, report([[0, 1, 2]]).readings) if name.startswith("report") else (b"", b"")
        message = statement.message(envelope(DEVICE, STATEMENT, payload), salt, readings)
        found.append(invalid(name, message, "claims or body"))
    assert len({vector["hex"] for vector in found}) == len(found), "two of them are the same"
    assert GENESIS != OTHER_GENESIS
    return found
