"""No MQTT at all: for the coordinator in the process of the embedded broker.

Two thirds of what a report costs at amqtt would be our own connection to it, through the kernel and back.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence

from .broker import EmbeddedBroker, compiled
from .transport import WAITING_MAX, LinkLost, Login, Received

SENT_IN_A_ROW_MAX = 64  # then the event loop may write them to the sockets


class EmbeddedSession:
    """Who has no room is waited for as long as WAITING_MAX messages are held; those beyond are dropped, and sent again
    by the devices. What it publishes does not come back to it."""

    def __init__(self, broker: EmbeddedBroker, received: Received) -> None:
        self._broker = broker
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._pattern = compiled([])  # matches no topic
        self._held: deque[tuple[str, bytes]] = deque()
        self._is_serving = False
        self._is_full = False
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._over.add_done_callback(lambda over: over.exception())  # nobody may be waiting for it
        self.dropped = 0

    # WHAT ARRIVES

    def take(self, topic: str, payload: bytes) -> None:
        if self._pattern.fullmatch(topic) is None:
            return
        if self._is_serving and not self._is_full and not self._held:
            self._deliver(topic, payload)
        elif len(self._held) < WAITING_MAX:
            self._held.append((topic, payload))
        else:
            self.dropped += 1

    def _deliver(self, topic: str, payload: bytes) -> None:
        if self._over.done():
            return
        try:
            self._received(topic, payload)
        except Exception as error:
            self._over.set_exception(error)  # it is a fault of ours, not of who published

    def _go_on(self) -> None:
        while self._held and self._is_serving and not self._is_full and not self._over.done():
            self._deliver(*self._held.popleft())

    async def subscribe(self, filters: Sequence[str]) -> None:
        self._check()
        self._pattern = compiled(list(filters))

    async def serve(self) -> None:
        self._is_serving = True
        self._go_on()
        await asyncio.shield(self._over)

    def pause(self) -> None:
        self._is_full = True

    def resume(self) -> None:
        if self._is_full:
            self._is_full = False
            # Not from within the consumer, who may be about to say that it is full again.
            self._loop.call_soon(self._go_on)

    def closed(self) -> None:
        if not self._over.done():
            self._over.set_exception(LinkLost("the broker is closed"))

    # WHAT GOES OUT

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        self._check()
        if retain:
            await self._broker.retain(topic, payload)
        else:
            self._broker.send(topic, payload)

    async def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        for number, (topic, payload) in enumerate(messages, 1):
            self._check()
            self._broker.send(topic, payload)
            if number % SENT_IN_A_ROW_MAX == 0:
                await asyncio.sleep(0)

    def _check(self) -> None:
        if self._over.done():
            raise LinkLost(str(self._over.exception()))


class EmbeddedTransport:
    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker

    @contextlib.asynccontextmanager
    async def session(self, login: Login, identifier: str, received: Received) -> AsyncIterator[EmbeddedSession]:
        if not self._broker.is_open:
            raise LinkLost("the broker is closed")
        session = EmbeddedSession(self._broker, received)
        with self._broker.listened(session):
            try:
                yield session
            finally:
                session.closed()
