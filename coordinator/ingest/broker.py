"""The embedded broker: amqtt, with access by token and a bound on every packet.

amqtt alone ends or takes over the session of a client id before it looks at the password, and publishes wills without
asking who may: here a stranger's CONNECT is refused before it touches anything, sessions are always clean, and there
are no wills. Only the coordinator retains messages.

Whoever listens in this process needs no connection: what devices publish goes straight to an `Inside`, and `send`
writes straight to who has subscribed. A message that nobody else hears costs no task and no queue.
"""

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import AMQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.constants import QOS_0, QOS_1
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.publish import PublishPacket
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import OutgoingApplicationMessage, Session

from device_client.core import verdicts

from .access import OURS, Access
from .embedded_handler import BoundedReader, BoundedWriter, Handler, Oversized

CONNECTIONS_MAX = 10_000
CONNECT_TIMEOUT_S = 10.0
REFUSED = 0x80  # return code of a subscription
FILTERS = "edgetally.filters"  # of a session: what it has subscribed to


class Inside(Protocol):
    """Somebody in this process who listens."""

    def take(self, topic: str, payload: bytes) -> None:
        """What somebody may publish; not what `send` and `retain` do."""

    def closed(self) -> None:
        """The broker is."""


class EmbeddedBroker:
    """`async with EmbeddedBroker(...)`: listening on entry, closed on exit. Close the clients first."""

    def __init__(self, host: str, port: int, access: Access, connections_max: int = CONNECTIONS_MAX) -> None:
        self._host = host
        self._port = port
        self._access = access
        self._connections_max = connections_max
        self._broker: _BoundedBroker | None = None

    async def __aenter__(self) -> "EmbeddedBroker":
        # amqtt reports every refused or lost connection as a warning; the intake counts them instead.
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        bind = f"{self._host}:{self._port}"
        config = {
            "listeners": {"default": {"type": "tcp", "bind": bind, "max_connections": self._connections_max}},
            "plugins": {f"{__name__}.ConnectPlugin": {"access": self._access}},
        }
        broker = _BoundedBroker(config, self._access)
        await broker.start()
        self._broker = broker
        return self

    async def __aexit__(self, *_: object) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            for inside in list(broker.inside):
                inside.closed()
            with contextlib.suppress(asyncio.CancelledError):
                await broker.shutdown()

    # FROM WITHIN THIS PROCESS

    @property
    def is_open(self) -> bool:
        return self._broker is not None

    @contextlib.contextmanager
    def listened(self, inside: Inside) -> Iterator[None]:
        """While open."""
        assert self._broker is not None
        held = self._broker.inside
        held.append(inside)
        try:
            yield
        finally:
            held.remove(inside)

    def send(self, topic: str, payload: bytes) -> None:
        """At QoS 0, to whoever has subscribed; while open."""
        assert self._broker is not None
        self._broker.send(topic, payload)

    async def retain(self, topic: str, payload: bytes) -> None:
        """While open."""
        assert self._broker is not None
        await self._broker.retain_message(None, topic, payload, QOS_1)
        await self._broker.internal_message_broadcast(topic, payload)


class _Subscriptions(dict[str, list[tuple[Session, int]]]):
    """amqtt iterates over the subscriptions while it awaits; without a snapshot, a connection that comes or goes
    meanwhile loses the message, or ends the connection that is just being made. And for each message it compares all
    of them: `of` looks at one, and at the few with a wildcard, which only we may have."""

    def __init__(self, held: dict[str, list[tuple[Session, int]]] | None = None) -> None:
        super().__init__()
        self._wild: dict[str, re.Pattern[str]] = {}
        for pattern, subscribers in (held or {}).items():
            self[pattern] = subscribers

    def __setitem__(self, pattern: str, subscribers: list[tuple[Session, int]]) -> None:
        super().__setitem__(pattern, subscribers)
        if is_wild(pattern):
            self._wild[pattern] = compiled([pattern])

    def __delitem__(self, pattern: str) -> None:
        super().__delitem__(pattern)
        self._wild.pop(pattern, None)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.keys()))

    def items(self) -> Any:
        return list(super().items())

    def of(self, topic: str) -> list[tuple[Session, int]]:
        """A snapshot of who gets this, each once for every filter that matches."""
        found = self.get(topic, ())
        return [*found, *(one for key, wild in self._wild.items() if wild.fullmatch(topic) for one in self[key])]


def is_wild(pattern: str) -> bool:
    return "+" in pattern or "#" in pattern


def compiled(patterns: list[str]) -> re.Pattern[str]:
    """Of topic filters; matches a topic that matches one of them. A wildcard in front leaves out what begins with $."""
    parts = []
    for one in patterns:
        part = re.escape(one).replace(r"/\#", "(/.*)?").replace(r"\#", ".*").replace(r"\+", "[^/]*")
        parts.append(rf"(?!\$)(?:{part})" if one[:1] in ("+", "#") else f"(?:{part})")
    return re.compile("|".join(parts), re.DOTALL)


class _BoundedBroker(Broker):
    def __init__(self, config: dict[str, Any], access: Access) -> None:
        super().__init__(config)
        self._access = access
        self._subscriptions: _Subscriptions = _Subscriptions()
        self.inside: list[Inside] = []

    # WHO COMES

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        bounded = BoundedReader(reader, self._access)
        with contextlib.suppress(OSError):
            await self._client_connected(listener_name, bounded, BoundedWriter(writer))

    async def _initialize_client_session(
        self, reader: Any, writer: Any, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Read the CONNECT and decide on it, before any other session is looked at. Raises AMQTTError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                handler, session = await Handler.init_from_connect(reader, writer, self.plugins_manager)
        except Exception as error:
            # A stranger's bytes: whatever amqtt stumbles over, it is his connection that ends.
            if reader.has_read and not isinstance(error, Oversized):
                self._access.refuse(verdicts.MALFORMED, None)
            await writer.close()
            raise AMQTTError("not a CONNECT") from error
        client_id = session.client_id or ""
        if not self._access.may_connect(client_id, session.username, session.password):
            self._access.refuse(verdicts.BAD_CREDENTIALS, None)
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            await writer.close()
            raise AMQTTError("not authorized")
        writer.is_bounded = session.username not in OURS
        session.clean_session, session.will_flag, session.parent = True, False, 0
        if held := self._sessions.get(client_id):
            await held[1].handle_connection_closed()
        await self._delete_session(client_id)
        assert isinstance(handler, Handler)
        handler.join(self._access, self._broadcast_message)
        return handler, session

    async def _topic_filtering(self, session: Session, topic: str, action: Action) -> bool:
        """Without a plugin: for each question amqtt makes a task."""
        if action is Action.PUBLISH:
            return self._access.may_publish(session.username, topic)
        return self._access.may_subscribe(session.username, topic)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """amqtt calls this at each new connection for the subscriptions of all the others, too."""
        if subscription[0] in session.attributes.get(FILTERS, ()):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        granted = await super().add_subscription(subscription, session)
        if granted < REFUSED:
            session.attributes.setdefault(FILTERS, set()).add(subscription[0])
        return granted

    async def _del_all_subscriptions(self, session: Session) -> None:
        """amqtt looks for them in those of everybody."""
        for pattern in session.attributes.pop(FILTERS, ()):
            self._del_subscription(pattern, session)
            if not self._subscriptions.get(pattern, True):
                del self._subscriptions[pattern]

    # WHAT IS SAID

    async def _handle_message_delivery(
        self, client_session: Session, handler: BrokerProtocolHandler, wait_deliver: "asyncio.Future[Any]"
    ) -> bool:
        message = wait_deliver.result()
        if message is not None and client_session.username not in OURS:
            if not self._access.may_publish(client_session.username, message.topic or ""):
                return True
            if message.publish_packet is not None:
                message.publish_packet.retain_flag = False
        return await super()._handle_message_delivery(client_session, handler, wait_deliver)

    async def _broadcast_message(
        self, session: Session | None, topic: str | None, data: bytes | bytearray | None, force_qos: int | None = None
    ) -> None:
        """Somebody may say this."""
        if topic is None or data is None:
            return
        if session is not None:
            for inside in list(self.inside):
                inside.take(topic, bytes(data))
        if self._subscriptions.of(topic):
            await super()._broadcast_message(session, topic, data, force_qos)

    async def _run_broadcast(self, running_tasks: "deque[asyncio.Task[OutgoingApplicationMessage]]") -> None:
        """As amqtt does it, but for an index of the subscriptions, and nobody is ever away and kept a message for."""
        broadcast = await self._broadcast_queue.get()
        topic, data = broadcast["topic"], broadcast["data"]
        for session, subscribed in self._subscriptions.of(topic):
            handler = self._hearing(session, topic)
            if handler is not None:
                qos = broadcast.get("qos", subscribed)
                running_tasks.append(asyncio.create_task(handler.mqtt_publish(topic, data, qos, retain=False)))

    def send(self, topic: str, payload: bytes) -> None:
        packet = b""
        for session, _ in self._subscriptions.of(topic):
            handler = self._hearing(session, topic)
            if handler is None or handler.writer is None:
                continue
            if handler.writer.is_bounded:
                packet = packet or PublishPacket.build(topic, payload, None, False, QOS_0, False).to_bytes()
                handler.writer.write(packet)
            else:  # one of ours is waited for, by a task that the loop of the broadcasts picks up
                publish = handler.mqtt_publish(topic, payload, QOS_0, retain=False)
                self._tasks_queue.append(asyncio.create_task(publish))

    def _hearing(self, session: Session, topic: str) -> Handler | None:
        """Who gets this, if it may and is connected."""
        if session.transitions.state != "connected" or not self._access.may_subscribe(session.username, topic):
            return None
        handler = self._get_handler(session)
        return handler if isinstance(handler, Handler) else None


class ConnectPlugin(BaseAuthPlugin):
    @dataclass
    class Config:
        access: Any

    async def authenticate(self, *, session: Session) -> bool:
        access: Access = self.config.access
        return access.may_connect(session.client_id or "", session.username, session.password)
