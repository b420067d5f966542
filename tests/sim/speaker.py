"""A key that says whatever a test wants, one message at a time; and the coordinator's desk where it is handed in."""

from collections.abc import Iterable

import nacl.signing

from coordinator.engine.wire import Refused
from coordinator.found import Token
from coordinator.ingest.intake import Outcome
from coordinator.node import Node
from device_client.core import cbor, cose, light, statement, verdicts
from device_client.core.statement import KIND_ENROLL, KIND_REPORT, Statement

from .device import CHANNELS
from .network import Network


class Speaker:
    """Counts seq and chains prev by itself; every field can be overridden."""

    def __init__(self, network: Network, name: str, token: Token) -> None:
        self.network = network
        self.random = network.random(f"speaker {name}")
        self.key = nacl.signing.SigningKey(self.random.randbytes(32))
        self.public_key = bytes(self.key.verify_key)
        self.id = cose.signer_id(self.public_key)
        self.token = token
        self.boot = 1
        self.seq = 0
        self.prev = b""

    def reboot(self) -> None:
        self.boot, self.seq, self.prev = self.boot + 1, 0, b""

    def enroll(self, token_signature: bytes | None = None, token: Token | None = None, **more: object) -> bytes:
        token = token or self.token
        if token_signature is None:
            message = statement.token_message(self.network.genesis.hash, self.public_key)
            token_signature = nacl.signing.SigningKey(token.seed).sign(message).signature
        body = [self.public_key, token.public_key, token_signature, 2, 1, 0, CHANNELS]
        return self.say(KIND_ENROLL, body, **more)

    def report(self, value: int = 2100, **more: object) -> bytes:
        salt, readings = self.random.randbytes(16), cbor.encode([[0, value]])
        return self.say(KIND_REPORT, [0, statement.commitment(salt, readings)], salt, readings, **more)

    def say(
        self,
        kind: int,
        body: list[object],
        salt: bytes = b"",
        readings: bytes = b"",
        seq: int | None = None,
        prev: bytes | None = None,
        boot: int | None = None,
        beacon: int = -1,
    ) -> bytes:
        """A signed message that quotes the beacon of that number (the newest by default)."""
        if seq is not None:
            self.seq, self.prev = seq - 1, self.prev if seq > 1 else b""
        quote = light.quote(self.network.node.beacons.envelopes[beacon])
        before = self.prev if prev is None else prev
        said = Statement(quote, 0, boot or self.boot, kind, self.seq + 1, before, body)
        envelope, number = statement.sealed(said, self.id, self.network.genesis.hash, self.sign)
        self.seq, self.prev = said.seq, number[:16]
        return statement.message(envelope, salt, readings)

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message).signature


def hand_in(node: Node, messages: Iterable[bytes], topic_device: bytes | None = None) -> list[Outcome | int]:
    """One group; for each message its outcome, or the code of a refusal before the signature was looked at."""
    found: list[Outcome | int] = []
    candidates = []
    for message in messages:
        try:
            if topic_device is not None and not node.intake.admits(topic_device):
                raise Refused(verdicts.RATE_LIMITED)
            candidates.append(node.intake.screen(message, topic_device))
            found.append(-1)
        except Refused as refused:
            node.intake.refuse(refused.code, topic_device)
            found.append(refused.code)
    outcomes = iter(node.intake.commit(candidates, node.intake.verify(candidates)))
    return [next(outcomes) if one == -1 else one for one in found]
