"""The seam between the link and an MQTT library: one session with a broker, whatever speaks the protocol.

Two libraries are behind it: `mqtt5_link` speaks MQTT 5 and is the fast one, `aiomqtt_link` speaks MQTT 3.1.1. And no
library at all where the broker is in our process: `embedded_link`.
"""

import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

import aiomqtt

from device_client.mqtt_connection import MqttConnection

from .access import COORDINATOR

ANSWER_S = 10.0
KEEP_ALIVE_S = 60
PACKET_BYTES_MAX = 16_384  # twice what a broker of ours takes: version 5 adds to what a device sent
WRITE_BYTES_MAX = 1 << 20  # in one write, and waiting for the socket before writers wait too
WAITING_MAX = 10_000  # messages that came before the session is served

Received = Callable[[str, bytes], None]  # topic, payload


class LinkLost(Exception):
    """The session is over, or never began; the text says why."""


class UnsupportedVersion(LinkLost):
    """The broker does not speak this version of MQTT."""


class NoAnswer(LinkLost):
    """Not one byte came back: so some brokers treat a version that they do not know, and so does one that dies."""


class Login(NamedTuple):
    """Where a broker is, what the coordinator shows it, and the MQTT versions to offer, the preferred one first (4 is
    3.1.1). An empty user name shows nothing."""

    host: str
    port: int
    username: str = COORDINATOR
    password: str = ""
    tls: ssl.SSLContext | None = None
    versions: tuple[int, ...] = (5, 4)

    @property
    def reachable_host(self) -> str:
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not a bind

    def client(self, identifier: str, **options: Any) -> aiomqtt.Client:
        return MqttConnection(
            self.reachable_host,
            self.port,
            username=self.username or None,
            password=self.password or None,
            identifier=identifier,
            tls_context=self.tls,
            **options,
        )


class Session(Protocol):
    """A connection that the broker has accepted. All but `pause` and `resume` raise LinkLost once it is over."""

    async def subscribe(self, filters: Sequence[str]) -> None:
        """At QoS 0. Nothing is delivered before `serve`."""

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        """What is retained goes at QoS 1, and the broker has acknowledged it."""

    async def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """At QoS 0, in this order, and no faster than the broker reads."""

    async def serve(self) -> None:
        """Deliver what arrives until the session is over. What the consumer raises comes out here."""

    def pause(self) -> None:
        """Deliver nothing until `resume`; called while a message is delivered, that one is the last."""

    def resume(self) -> None: ...


class Transport(Protocol):
    """Makes sessions; leaving one disconnects. Entering raises LinkLost."""

    def session(self, login: Login, identifier: str, received: Received) -> AbstractAsyncContextManager[Session]: ...
