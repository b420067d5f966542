"""One connection at the embedded broker: what is read from a device, and how much may wait for it.

amqtt spends a dozen coroutines, three tasks and two timers on a packet, more than everything that the coordinator does
with a report. Our own connections are read by amqtt all the same; those of devices by `Handler`, a packet at a time
and without a task. It leaves all that is not a PUBLISH to amqtt's methods.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from amqtt.adapters import BufferReader, StreamReaderAdapter, StreamWriterAdapter
from amqtt.errors import MQTTError, NoDataError
from amqtt.mqtt import packet_class
from amqtt.mqtt.packet import (
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBSCRIBE,
    MQTTFixedHeader,
)
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.session import Session

from device_client.core import verdicts

from .access import OURS, Access

PACKET_BYTES_MAX = 8192
UNREAD_BYTES_MAX = 1 << 17  # beyond what the kernel holds
HALF_DELIVERED_MAX = 16  # messages of QoS 2 that a device has begun and not released
PACKETS_IN_A_ROW_MAX = 32  # then others have their turn, however much a device has sent
HANDLED: dict[int, Callable[[Any, Any], Awaitable[None]]] = {
    SUBSCRIBE: BrokerProtocolHandler.handle_subscribe,
    UNSUBSCRIBE: BrokerProtocolHandler.handle_unsubscribe,
    PUBACK: BrokerProtocolHandler.handle_puback,
    PUBREC: BrokerProtocolHandler.handle_pubrec,
    PUBREL: BrokerProtocolHandler.handle_pubrel,
    PUBCOMP: BrokerProtocolHandler.handle_pubcomp,
    PINGREQ: BrokerProtocolHandler.handle_pingreq,
    DISCONNECT: BrokerProtocolHandler.handle_disconnect,
}
Deliver = Callable[[Session, str, bytes], Awaitable[None]]


class Oversized(Exception):
    """Not one of amqtt's own errors: behind those it goes on reading, as if the packet's body were the next packet."""


class BoundedReader(StreamReaderAdapter):
    """A packet announced as larger than the bound ends the connection before it is read."""

    def __init__(self, reader: asyncio.StreamReader, access: Access) -> None:
        super().__init__(reader)
        self._access = access
        self.has_read = False

    async def read(self, n: int = -1) -> bytes:
        self._check(n)
        data = await super().read(n)
        self.has_read = True
        return data

    async def packet(self) -> tuple[int, bytes]:
        """First byte and body of the next one. Raises Oversized, ValueError, and what StreamReader does."""
        exactly = self._reader.readexactly
        first, digit = await exactly(2)
        size, shift = digit & 0x7F, 7
        while digit & 0x80:
            if shift > 21:
                raise ValueError("a length that never ends")
            (digit,) = await exactly(1)
            size |= (digit & 0x7F) << shift
            shift += 7
        self._check(size)
        return first, await exactly(size)

    def _check(self, size: int) -> None:
        if not 0 <= size <= PACKET_BYTES_MAX:
            self._access.refuse(verdicts.OVERSIZED, None)
            raise Oversized


class BoundedWriter(StreamWriterAdapter):
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


class Handler(BrokerProtocolHandler):
    """`join` it to its broker before it starts."""

    writer: BoundedWriter | None
    reader: Any
    session: Session | None
    _access: Access
    _deliver: Deliver

    def join(self, access: Access, deliver: Deliver) -> None:
        self._access = access
        self._deliver = deliver

    def _init_session(self, session: Session) -> None:
        """Without keep-alive: amqtt sets a timer anew for each packet that it sends, and does nothing when it ends."""
        super()._init_session(session)
        self.keepalive_timeout = None

    async def _handle_qos1_message_flow(self, app_message: Any) -> None:
        """Who does not acknowledge is the one who misses it: no task of ours fails for that."""
        with contextlib.suppress(TimeoutError):
            await super()._handle_qos1_message_flow(app_message)

    async def _reader_loop(self) -> None:
        """A device's packets as they come: no task for each, and no timeout, at whose end amqtt does nothing."""
        session, ready = self.session, self._reader_ready
        if session is None or ready is None or session.username in OURS:
            await super()._reader_loop()
            return
        ready.set()
        half_delivered: set[asyncio.Task[None]] = set()
        # A stranger's bytes: whatever we stumble over, it is his connection that ends. `stop` cancels it.
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await self._read(session, half_delivered)
        for task in half_delivered:
            task.cancel()
        await self.handle_connection_closed()
        self._reader_stopped.set()
        await self.stop()

    async def _read(self, session: Session, half_delivered: set[asyncio.Task[None]]) -> None:
        next_packet, in_a_row = self.reader.packet, 0
        own_topic: str | None = None
        while True:
            first, body = await next_packet()
            in_a_row += 1
            if in_a_row >= PACKETS_IN_A_ROW_MAX:
                in_a_row = 0
                await asyncio.sleep(0)
            kind, qos = first >> 4, first >> 1 & 3
            if kind == PUBLISH and qos < 2:
                at = 2 + int.from_bytes(body[:2], "big")
                topic, start = body[2:at].decode(errors="replace"), at + 2 * qos
                if start > len(body):
                    return
                # Whom it may publish to does not change; a refusal is counted each time.
                if topic == own_topic or self._may_publish(session, topic):
                    own_topic = topic
                    await self._deliver(session, topic, body[start:])
                if qos and self.writer is not None:
                    self.writer.write(b"\x40\x02" + body[at:start])
            elif kind == PUBLISH:
                if qos > 2 or len(half_delivered) >= HALF_DELIVERED_MAX:
                    return
                with contextlib.suppress(MQTTError, NoDataError):
                    task = asyncio.create_task(self.handle_publish(await _decoded(first, body)))
                    half_delivered.add(task)
                    task.add_done_callback(lambda done: _drop(half_delivered, done))
            else:
                with contextlib.suppress(MQTTError, NoDataError):
                    await HANDLED[kind](self, await _decoded(first, body))

    def _may_publish(self, session: Session, topic: str) -> bool:
        # A topic with a wildcard is no topic, and reaches nobody.
        return not ("#" in topic or "+" in topic) and self._access.may_publish(session.username, topic)


def _drop(tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    """It is over; whatever went wrong went wrong for its device."""
    tasks.discard(task)
    if not task.cancelled():
        task.exception()


async def _decoded(first: int, body: bytes) -> Any:
    """By amqtt. Raises MQTTError, NoDataError."""
    header = MQTTFixedHeader(first >> 4, first & 15, len(body))
    return await packet_class(header).from_stream(BufferReader(body), fixed_header=header)
