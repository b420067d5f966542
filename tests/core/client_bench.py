"""A client, a scripted coordinator and the network between them. Runs on CPython and on MicroPython.

Signatures are a keyed hash here, so that a simulation takes milliseconds on both; the vectors hold the real ones.
Chance comes from a generator of its own, so that both interpreters live the same life, and a failure replays.
"""

import hashlib

from device_client.core import cbor, client, cose, light, received, statement, verdicts
from device_client.core.outbox import Outbox
from tests.core.flash import Flash

INTERVAL_S = 20
BEACON_S = 10
GENESIS = hashlib.sha256(b"genesis").digest()


def toy_public(seed):
    return hashlib.sha256(b"public" + seed).digest()


def toy_sign(public, message):
    return hashlib.sha256(public + message).digest() * 2


def toy_verify(public, message, signature):
    return toy_sign(public, message) == signature


class Chance:
    """A linear congruential generator: the same numbers everywhere."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def often(self, percent):
        return self.below(100) < percent

    def bytes(self, size):
        return bytes([self.below(256) for _ in range(size)])


DEVICE = toy_public(b"device")
ROOT = toy_public(b"root")
KEYS = [toy_public(b"coordinator 1"), toy_public(b"coordinator 2")]
TOKEN = toy_public(b"token")
DEVICE_ID = cose.signer_id(DEVICE)


def envelope(public, envelope_type, payload, genesis=GENESIS):
    kid = cose.signer_id(public)
    return cose.wrap(
        kid, payload, toy_sign(public, cose.signed_bytes(kid, cose.external_aad(envelope_type, genesis), payload))
    )


def certificates(*from_beacons):
    parts = []
    for index, from_beacon in enumerate(from_beacons):
        payload = light.Certificate(index + 1, light.ROLE_COORDINATOR, KEYS[index], from_beacon).payload()
        parts.append(envelope(ROOT, cose.TYPE_OWNER, payload))
    return cbor.encode(parts)


def beacon(number, incarnation=1, key=KEYS[0], salt=b""):
    nonce = hashlib.sha256(b"nonce %d" % number + salt).digest()
    return envelope(
        key, cose.TYPE_BEACON, light.Beacon(incarnation, number, 1000 + number, nonce, nonce, 0, nonce, nonce).payload()
    )


def sheet(rows, key=KEYS[0], slot=0):
    return envelope(key, cose.TYPE_RECEIPTS, light.Sheet(1, slot, rows).payload())


def read(message):
    """(statement, id, readings) of an `up` message, checked as a coordinator does."""
    assert len(message) <= statement.MESSAGE_BYTES_MAX, len(message)
    data, salt, readings = received.message(message)
    payload = light.Trust(GENESIS, ROOT, toy_verify).opened(data, cose.TYPE_STATEMENT, DEVICE)
    said = received.statement(payload)
    if said.kind == statement.KIND_ENROLL:
        received.enroll(said.body)
    else:
        received.report(said.body)
        assert statement.commitment(salt, readings) == said.body[1]
    signed = cose.signed_bytes(DEVICE_ID, cose.external_aad(cose.TYPE_STATEMENT, GENESIS), payload)
    return said, cose.identity(signed), readings


def row(said, identity, code):
    return [DEVICE_ID, said.boot, said.seq, identity[:8], code]


def make_config(interval_s=INTERVAL_S, beacon_interval_s=BEACON_S, channels=(("a", "", 0),), **changes):
    return client.Config(
        "test",
        GENESIS,
        ROOT,
        DEVICE,
        TOKEN,
        bytes(64),
        interval_s,
        beacon_interval_s,
        [list(one) for one in channels],
        **changes,
    )


def make_client(flash, config=None, records_max=200, now_ms=0, chance=None, resume=b""):
    chance = chance or Chance(1)
    box = flash.outbox() if hasattr(flash, "outbox") else Outbox(flash, records_max)
    return client.Client(
        config or make_config(),
        box,
        lambda message: toy_sign(DEVICE, message),
        toy_verify,
        chance.bytes,
        now_ms,
        resume=resume,
    )


class Sitting:
    """A client with its flash, online, that knows the coordinator, and is enrolled if that is asked for."""

    def __init__(self, enrolled=True, config=None, records_max=200, flash=None, number=0):
        self.flash = flash or Flash()
        self.now_ms = 0
        self.number = number
        self.shown = []
        self.start(config, records_max)
        if enrolled:
            self.client.outbox.set_enrolled()

    def start(self, config=None, records_max=200, resume=b""):
        self.client = make_client(self.flash, config, records_max, self.now_ms, resume=resume)
        self.client.connected(self.now_ms)
        self.hear("keys", certificates(0))

    def hear(self, what, payload):
        topics = {
            "keys": self.client.keys_topic,
            "beacon": self.client.beacon_topic,
            "down": self.client.down_topic,
        }
        self.client.received(topics.get(what, what), payload, self.now_ms)

    def beacon(self):
        self.number += 1
        self.hear("beacon", beacon(self.number))

    def tick(self, after_ms=0):
        """What it publishes, read and checked."""
        self.now_ms += after_ms
        messages = self.client.tick(self.now_ms)
        self.shown += [message for _, message in messages if message[:1] == b"\xd2"]
        messages = [one for one in messages if one[1][:1] != b"\xd2"]
        for topic, message in messages:
            assert topic == self.client.up_topic
            assert self.flash.data.find(message, 0, self.flash.firm) >= 0, "sent before it is durable"
        return [read(message) for _, message in messages]

    def report(self, sets=1):
        """Two beacons on, one more report."""
        self.beacon()
        self.beacon()
        for _ in range(sets):
            self.client.sample([self.number] * len(self.client.config.channels), self.now_ms)
        return self.tick(2 * BEACON_S * 1000)

    def receipt(self, sent, code=verdicts.OK, key=KEYS[0]):
        self.hear("down", sheet([row(said, identity, code) for said, identity, _ in sent], key))

    def count(self, what):
        return self.client.counters.get(what, 0)
