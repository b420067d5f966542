"""A device made by hand: each of its messages is built by the test, so that it can be wrong in exactly one way."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import nacl.signing

from device_client.core import cbor, cose, light, statement
from device_client.core.client import base_topic
from device_client.core.secret import broker_password
from device_client.core.statement import KIND_ENROLL, KIND_REPORT, Statement
from device_client.provisioning import Provisioning

CHANNELS: list[list[object]] = [["temperature", "Cel", -2]]


class Hand:
    """`genesis` and `public_key` can be made wrong; `said` continues the chain unless a test replaces a part."""

    def __init__(self, given: Provisioning, public_key: bytes | None = None) -> None:
        self.given = given
        self.genesis = given.genesis
        self.key = nacl.signing.SigningKey.generate()
        self.token_key = nacl.signing.SigningKey(given.token_seed)
        self.public_key = public_key or bytes(self.key.verify_key)
        self.id = cose.signer_id(self.public_key)
        self.boot, self.seq, self.last_id = 1, 0, b""
        self.place = 0
        self.interval_s = given.beacon_interval_s

    @property
    def up(self) -> str:
        return base_topic(self.given.network, self.id) + "/up"

    def said(self, kind: int, body: list[Any], beacon: bytes, uptime_s: Any = 1, nonce: bytes = b"") -> Statement:
        quote = nonce or light.quote(beacon)
        return Statement(quote, uptime_s, self.boot, kind, self.seq + 1, self.last_id[: statement.PREV_BYTES], body)

    def signed(self, said: Statement, salt: bytes = b"", readings: bytes = b"") -> bytes:
        """The message of a statement; the chain goes on behind it."""
        envelope, self.last_id = statement.sealed(said, self.id, self.genesis, lambda m: self.key.sign(m).signature)
        self.seq = said.seq
        return statement.message(envelope, salt, readings)

    def enrolment_body(self) -> list[Any]:
        signature = self.token_key.sign(statement.token_message(self.genesis, self.public_key)).signature
        return [self.public_key, bytes(self.token_key.verify_key), signature, self.interval_s, 1, self.place, CHANNELS]

    def enrol(self, beacon: bytes, body: list[Any] | None = None) -> bytes:
        return self.signed(self.said(KIND_ENROLL, body or self.enrolment_body(), beacon))

    def report(
        self, beacon: bytes, values: list[int] | None = None, told: list[list[int]] | None = None, **wrong: Any
    ) -> bytes:
        salt, readings = os.urandom(statement.SALT_BYTES), cbor.encode([[0, *(values or [2000 + self.seq])]])
        body = [0, statement.commitment(salt, readings), *([told] if told else [])]
        return self.signed(self.said(KIND_REPORT, body, beacon, **wrong), salt, readings)

    def say(self, messages: Iterable[bytes], check: Callable[[], object]) -> None:
        """Publish over MQTT, and stay connected until `check` returns: the broker forgets what it holds of a client
        that leaves, acknowledged or not."""

        async def run() -> None:
            async with self.connected() as client:
                for message in messages:
                    await client.publish(self.up, message, qos=1)
                await asyncio.to_thread(check)

        asyncio.run(run())

    @asynccontextmanager
    async def connected(self, **changes: Any) -> AsyncIterator[aiomqtt.Client]:
        """Its own connection to the broker, or one with something about it changed."""
        options: dict[str, Any] = {
            "username": self.id.hex(),
            "password": broker_password(self.given.token_seed, self.id),
            "identifier": self.id.hex(),
            "timeout": 10,
        }
        async with aiomqtt.Client("127.0.0.1", self.given.port, **(options | changes)) as client:
            yield client
