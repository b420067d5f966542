"""The embedded broker: amqtt, with access by token and a bound on every packet."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.errors import NoDataError
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from .access import Access

PACKET_BYTES_MAX = 8192
CONNECTIONS_MAX = 10_000


class EmbeddedBroker:
    """`async with EmbeddedBroker(...)`: listening on entry, closed on exit. Close the clients first."""

    def __init__(self, host: str, port: int, access: Access) -> None:
        self._host = host
        self._port = port
        self._access = access
        self._broker: _BoundedBroker | None = None

    async def __aenter__(self) -> "EmbeddedBroker":
        # amqtt reports every refused or lost connection as a warning; the intake counts them instead.
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        bind = f"{self._host}:{self._port}"
        config = {
            "listeners": {"default": {"type": "tcp", "bind": bind, "max_connections": CONNECTIONS_MAX}},
            "plugins": {
                f"{__name__}.ConnectPlugin": {"access": self._access},
                f"{__name__}.TopicPlugin": {"access": self._access},
            },
        }
        self._broker = _BoundedBroker(config)
        await self._broker.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._broker is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._broker.shutdown()


class _BoundedReader(StreamReaderAdapter):
    """A packet announced as larger than the bound ends the connection before it is read."""

    async def read(self, n: int = -1) -> bytes:
        if n > PACKET_BYTES_MAX:
            raise NoDataError(f"a packet of {n} bytes")
        return await super().read(n)


class _Subscriptions(dict[str, list[tuple[Session, int]]]):
    """amqtt iterates over the subscriptions while it awaits; without a snapshot, a connection that comes or goes
    meanwhile loses the message."""

    def items(self) -> Any:
        return list(super().items())


class _BoundedBroker(Broker):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self._subscriptions = _Subscriptions()

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        await self._client_connected(listener_name, _BoundedReader(reader), StreamWriterAdapter(writer))


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
