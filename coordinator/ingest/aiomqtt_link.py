"""MQTT 3.1.1 by aiomqtt: for ingest workers at the embedded broker, and for brokers that know nothing newer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

import aiomqtt

from .transport import WAITING_MAX, LinkLost, Login, Received


@contextlib.contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except aiomqtt.MqttError as error:
        raise LinkLost(str(error)) from error


class AiomqttSession:
    def __init__(self, client: aiomqtt.Client, received: Received) -> None:
        self._client = client
        self._received = received
        self._room = asyncio.Event()
        self._room.set()

    async def subscribe(self, filters: Sequence[str]) -> None:
        with _lost():
            await self._client.subscribe([(one, 0) for one in filters])
        _cancelled_anyway()

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        with _lost():
            await self._client.publish(topic, payload, qos=1 if retain else 0, retain=retain)

    async def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        with _lost():
            for topic, payload in messages:
                await self._client.publish(topic, payload, qos=0)

    async def serve(self) -> None:
        _cancelled_anyway()
        with _lost():
            async for message in self._client.messages:
                await self._room.wait()
                if isinstance(message.payload, bytes):
                    self._received(message.topic.value, message.payload)

    def pause(self) -> None:
        self._room.clear()

    def resume(self) -> None:
        self._room.set()


class AiomqttTransport:
    """aiomqtt reads on while the consumer has no room, and drops what exceeds its own queue."""

    @contextlib.asynccontextmanager
    async def session(self, login: Login, identifier: str, received: Received) -> AsyncIterator[AiomqttSession]:
        with _lost():
            async with login.client(identifier, max_queued_incoming_messages=WAITING_MAX) as client:
                yield AiomqttSession(client, received)


def _cancelled_anyway() -> None:
    """`wait_for` of Python 3.11, inside aiomqtt, forgets a cancellation that comes together with its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
