"""Statements that are wrong in one way each, by MQTT and by HTTP: refused by name, counted once, no harm to others."""

import os
from collections.abc import Callable

import cbor2
import nacl.signing
import pytest

from coordinator.found import Token
from device_client.core import cbor, received, statement
from device_client.core.statement import KIND_REPORT, NONCE_BYTES
from tests.e2e.running import until

from .conftest import Scene
from .hand import Hand

Make = Callable[[Hand, bytes], bytes]
NEUTRAL = bytes((1,)) + bytes(
    31
)  # the point of order one: with it as a key, every message "verifies" in loose libraries
ORDER_EIGHT = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def payload_changed(hand: Hand, beacon: bytes, change: Callable[[dict[int, object]], None]) -> bytes:
    """A well signed envelope around claims that are not those of the wire."""
    said = hand.said(KIND_REPORT, [0, bytes(32)], beacon)
    claims = cbor2.loads(said.payload())
    change(claims)
    payload = cbor2.dumps(claims)
    said.payload = lambda: payload  # type: ignore[method-assign]
    return hand.signed(said)


def another_network(hand: Hand, beacon: bytes) -> bytes:
    hand.genesis = bytes(32)
    return hand.report(beacon)


def other_readings(hand: Hand, beacon: bytes) -> bytes:
    envelope, salt, _ = received.message(hand.report(beacon))
    return statement.message(envelope, salt, cbor.encode([[0, 9999]]))


def forged(hand: Hand, beacon: bytes) -> bytes:
    hand.key = nacl.signing.SigningKey.generate()
    return hand.report(beacon)


# reason, status by HTTP, message. What is validly signed and refused for good is receipted: 409.
CASES: dict[str, tuple[str, int, Make]] = {
    "oversized": ("oversized", 413, lambda hand, beacon: hand.report(beacon) + bytes(1024)),
    "truncated": ("malformed", 400, lambda hand, beacon: hand.report(beacon)[:-1]),
    "trailing byte": ("malformed", 400, lambda hand, beacon: hand.report(beacon) + b"\0"),
    "empty": ("malformed", 400, lambda hand, beacon: b"\x80"),
    "a map": ("malformed", 400, lambda hand, beacon: cbor2.dumps({1: hand.report(beacon)})),
    "text": ("malformed", 400, lambda hand, beacon: cbor2.dumps(["envelope", "salt", "readings"])),
    "a float": ("malformed", 400, lambda hand, beacon: cbor2.dumps([1.5])),
    "json": ("malformed", 400, lambda hand, beacon: b'{"temperature": 21.5}'),
    "deep arrays": ("malformed", 400, lambda hand, beacon: b"\x81" * 1000 + b"\0"),
    "deep tags": ("malformed", 400, lambda hand, beacon: b"\xd2" * 1000 + b"\0"),
    "a length of 2^64": ("malformed", 400, lambda hand, beacon: b"\x9b" + b"\xff" * 8),
    "a huge integer": (
        "malformed",
        400,
        lambda hand, beacon: payload_changed(hand, beacon, lambda claims: claims.update({261: 1 << 512})),
    ),
    "uptime of 2^64": (
        "malformed",
        400,
        lambda hand, beacon: payload_changed(hand, beacon, lambda claims: claims.update({261: (1 << 64) - 1})),
    ),
    "negative boot": (
        "malformed",
        400,
        lambda hand, beacon: payload_changed(hand, beacon, lambda claims: claims.update({267: -1})),
    ),
    "seq of 2^32": (
        "malformed",
        400,
        lambda hand, beacon: payload_changed(
            hand, beacon, lambda claims: claims.update({-65537: [2, 1 << 32, bytes(16), []]})
        ),
    ),
    "one claim more": (
        "malformed",
        400,
        lambda hand, beacon: payload_changed(hand, beacon, lambda claims: claims.update({-65538: 1})),
    ),
    "another network": ("bad_signature", 400, another_network),
    "another key": ("bad_signature", 400, forged),
    "other readings": ("bad_commitment", 400, other_readings),
    "unknown kind": ("unsupported_kind", 409, lambda hand, beacon: hand.signed(hand.said(77, [], beacon))),
    "body of a report": ("bad_body", 409, lambda hand, beacon: hand.signed(hand.said(KIND_REPORT, [1, 2], beacon))),
    "a beacon that never was": (
        "unknown_beacon",
        409,
        lambda hand, beacon: hand.report(beacon, nonce=os.urandom(NONCE_BYTES)),
    ),
    "enrolled twice": ("already_enrolled", 409, lambda hand, beacon: hand.enrol(beacon)),
}


@pytest.mark.parametrize("name", CASES)
def test_by_http(scene: Scene, name: str) -> None:
    reason, expected, make = CASES[name]
    message = make(scene.enrolled(), scene.net.beacon())
    counted = scene.counted(reason, 1) if len(message) <= statement.MESSAGE_BYTES_MAX else None
    status, content_type, told = scene.net.post(message)
    assert (status, content_type, told["code"]) == (expected, "application/problem+json", reason)
    assert told["status"] == expected and told["title"] and told["detail"] and told["type"].endswith(reason)
    assert ("receipt" in told) == (expected == 409)
    if counted:
        counted()


def test_by_mqtt(scene: Scene) -> None:
    """Each over a connection of its own, and a good report behind it: that one counts."""

    hands = []
    for reason, _, make in CASES.values():
        hand, counted = scene.enrolled(), scene.counted(reason, 1)
        # A statement that is refused leaves a hole in the chain of its boot, so the good one is of another boot.
        good = Hand(hand.given)
        good.boot, good.id, good.key = 2, hand.id, hand.key
        hand.say([make(hand, scene.net.beacon()), good.report(scene.net.beacon())], counted)
        hands.append(hand)
    for hand, name in zip(hands, CASES, strict=True):
        until(lambda hand=hand: scene.statements(hand) == 2, f"the good report behind {name}")


@pytest.mark.parametrize("key", [NEUTRAL, bytes(32), ORDER_EIGHT, b"\xff" * 32], ids=["1", "0", "order 8", "2^255-1"])
def test_a_weak_key_cannot_enrol(scene: Scene, key: bytes) -> None:
    hand = scene.hand(public_key=key)
    counted = scene.counted("weak_key", 1)
    status, _, told = scene.net.post(hand.enrol(scene.net.beacon()))
    assert (status, told["code"]) == (400, "weak_key")
    counted()


def test_enrolments_need_a_token(scene: Scene) -> None:
    net, beacon = scene.net, scene.net.beacon()
    stranger = Hand(net.given(scene.token)._replace(token_seed=os.urandom(32)))
    assert net.post(stranger.enrol(beacon))[2]["code"] == "token_unknown"
    thief = scene.hand()
    body = scene.hand().enrolment_body()
    body[0] = thief.public_key  # with the token's word for somebody else
    assert net.post(thief.enrol(beacon, body))[2]["code"] == "bad_token_signature"
    single = Token(net.token(1).seed, b"", 1, 0)
    first, second = Hand(net.given(single)), Hand(net.given(single))
    assert net.post(first.enrol(beacon))[0] == 200
    assert net.post(second.enrol(beacon))[2]["code"] == "token_exhausted"
    assert net.post(scene.hand().report(beacon))[:1] == (404,)


def test_said_again_it_is_receipted_again_and_counts_once(scene: Scene) -> None:
    hand = scene.enrolled()
    message = hand.report(scene.net.beacon())
    counted = scene.counted("duplicate", 2)
    receipts = [scene.net.post(message) for _ in range(3)]
    assert [told.get("code") for _, _, told in receipts] == [0, "duplicate", "duplicate"]
    assert all(told["receipt"] for _, _, told in receipts)
    counted()
    until(lambda: scene.statements(hand) == 2, "the batch")


def test_two_different_statements_of_one_number_quarantine(scene: Scene) -> None:
    hand = scene.enrolled()
    copy = Hand(hand.given)
    copy.id, copy.key, copy.seq, copy.last_id = hand.id, hand.key, hand.seq, hand.last_id
    beacon = scene.net.beacon()
    assert scene.net.post(hand.report(beacon, [2000]))[0] == 200
    status, _, told = scene.net.post(copy.report(beacon, [2100]))
    assert (status, told["code"]) == (409, "fork") and told["receipt"]
    until(lambda: (scene.view(hand) or {}).get("standing") == "quarantined", "the quarantine")
    assert scene.net.post(hand.report(scene.net.beacon()))[2]["code"] == "quarantined"
