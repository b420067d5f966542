"""The embedded broker: amqtt, with access by token and a bound on every packet.

amqtt alone ends or takes over the session of a client id before it looks at the password, and publishes wills without
asking who may: here a stranger's CONNECT is refused before it touches anything, sessions are always clean, and there
are no wills. Only the coordinator retains messages.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import AMQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from device_client.core import verdicts

from .access import OURS, Access

PACKET_BYTES_MAX = 8192
CONNECTIONS_MAX = 10_000
CONNECT_TIMEOUT_S = 10.0
UNREAD_BYTES_MAX = 1 << 17  # beyond what the kernel holds


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
            "plugins": {
                f"{__name__}.ConnectPlugin": {"access": self._access},
                f"{__name__}.TopicPlugin": {"access": self._access},
            },
        }
        self._broker = _BoundedBroker(config, self._access)
        await self._broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._broker is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._broker.shutdown()


class _Oversized(Exception):
    """Not one of amqtt's own errors: behind those it goes on reading, as if the packet's body were the next packet."""


class _BoundedReader(StreamReaderAdapter):
    """A packet announced as larger than the bound ends the connection before it is read."""

    def __init__(self, reader: asyncio.StreamReader, access: Access) -> None:
        super().__init__(reader)
        self._access = access
        self.has_read = False

    async def read(self, n: int = -1) -> bytes:
        if not 0 <= n <= PACKET_BYTES_MAX:
            self._access.refuse(verdicts.OVERSIZED, None)
            raise _Oversized
        data = await super().read(n)
        self.has_read = True
        return data


class _BoundedWriter(StreamWriterAdapter):
    """Who does not read what it asked for loses its connection. amqtt would wait for it, with a task for each message,
    and behind the first of these keep the finished ones of all the others. And where the other side has closed
    meanwhile, uvloop raises a RuntimeError while asyncio forgives."""

    is_bounded = True

    def write(self, data: bytes) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            return
        if self.is_bounded and transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            transport.abort()
        else:
            super().write(data)

    async def drain(self) -> None:
        if not self.is_bounded:
            await super().drain()


class _Subscriptions(dict[str, list[tuple[Session, int]]]):
    """amqtt iterates over the subscriptions while it awaits; without a snapshot, a connection that comes or goes
    meanwhile loses the message, or ends the connection that is just being made."""

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.keys()))

    def items(self) -> Any:
        return list(super().items())


class _Handler(BrokerProtocolHandler):
    async def _handle_qos1_message_flow(self, app_message: Any) -> None:
        """Who does not acknowledge is the one who misses it: no task of ours fails for that."""
        with contextlib.suppress(TimeoutError):
            await super()._handle_qos1_message_flow(app_message)


class _BoundedBroker(Broker):
    def __init__(self, config: dict[str, Any], access: Access) -> None:
        super().__init__(config)
        self._access = access
        self._subscriptions = _Subscriptions()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        bounded = _BoundedReader(reader, self._access)
        with contextlib.suppress(OSError):
            await self._client_connected(listener_name, bounded, _BoundedWriter(writer))

    async def _initialize_client_session(
        self, reader: Any, writer: Any, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        """Read the CONNECT and decide on it, before any other session is looked at. Raises AMQTTError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                handler, session = await _Handler.init_from_connect(reader, writer, self.plugins_manager)
        except Exception as error:
            # A stranger's bytes: whatever amqtt stumbles over, it is his connection that ends.
            if reader.has_read and not isinstance(error, _Oversized):
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
        return handler, session

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


class ConnectPlugin(BaseAuthPlugin):
    @dataclass
    class Config:
        access: Any

    async def authenticate(self, *, session: Session) -> bool:
        access: Access = self.config.access
        return access.may_connect(session.client_id or "", session.username, session.password)


class TopicPlugin(BaseTopicPlugin):
    @dataclass
    class Config:
        access: Any

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        access: Access = self.config.access
        if session is None or topic is None:
            return False
        if action is Action.PUBLISH:
            return access.may_publish(session.username, topic)
        return access.may_subscribe(session.username, topic)
