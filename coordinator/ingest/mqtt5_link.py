"""MQTT 5 by mqtt5: for mosquitto, and for every broker that speaks it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence

import mqtt5
import structlog
from mqtt5 import ConnAckReasonCode, ConnectPacket, PublishPacket, QoS, SubscribePacket, TopicFilter

from .mqtt5_protocol import Mqtt5Connection
from .transport import (
    ANSWER_S,
    KEEP_ALIVE_S,
    PACKET_BYTES_MAX,
    WRITE_BYTES_MAX,
    LinkLost,
    Login,
    NoAnswer,
    Received,
    UnsupportedVersion,
)

log = structlog.get_logger("edgetally")
CLOSE_S = 1.0
REFUSED = 128  # reason codes from here on; mqtt5's enums are no integers, whatever its stubs say
PACKET_IDS = 65_535


class Mqtt5Session:
    def __init__(self, connection: Mqtt5Connection) -> None:
        self._connection = connection
        self._packet_ids = itertools.cycle(range(1, PACKET_IDS + 1))
        self._one_at_a_time = asyncio.Lock()  # so that no broker's receive maximum is exceeded

    async def subscribe(self, filters: Sequence[str]) -> None:
        number = next(self._packet_ids)
        asked = [TopicFilter(pattern, max_qos=QoS.AT_MOST_ONCE) for pattern in filters]
        answer = await self._connection.asked(SubscribePacket(number, asked).write(), mqtt5.SubAckPacket, number)
        for pattern, code in zip(filters, answer.reason_codes, strict=False):
            if code.value >= REFUSED:
                raise LinkLost(f"the broker refuses the subscription to {pattern}: {code.name.lower()}")

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if not retain:
            await self._connection.write(PublishPacket(topic, payload).write())
            return
        async with self._one_at_a_time:
            number = next(self._packet_ids)
            packet = PublishPacket(topic, payload, qos=QoS.AT_LEAST_ONCE, retain=True, packet_id=number)
            answer = await self._connection.asked(packet.write(), mqtt5.PubAckPacket, number)
        if answer.reason_code.value >= REFUSED:
            log.error("publish_refused", topic=topic, reason=answer.reason_code.name.lower())

    async def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        packets: list[bytes] = []
        size = 0
        for topic, payload in messages:
            packet = PublishPacket(topic, payload).write()
            packets.append(packet)
            size += len(packet)
            if size >= WRITE_BYTES_MAX:
                await self._connection.write(b"".join(packets))
                packets, size = [], 0
        if packets:
            await self._connection.write(b"".join(packets))

    async def serve(self) -> None:
        self._connection.serve()
        await asyncio.shield(self._connection.over)

    def pause(self) -> None:
        self._connection.pause()

    def resume(self) -> None:
        self._connection.resume()


class Mqtt5Transport:
    @contextlib.asynccontextmanager
    async def session(self, login: Login, identifier: str, received: Received) -> AsyncIterator[Mqtt5Session]:
        connection = await _opened(login, received)
        try:
            await _introduced(connection, login, identifier)
            yield Mqtt5Session(connection)
        finally:
            connection.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await connection.closed.wait()
            connection.end(LinkLost("closed"))


async def _opened(login: Login, received: Received) -> Mqtt5Connection:
    """Raises LinkLost."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_S):
            _, connection = await loop.create_connection(
                lambda: Mqtt5Connection(received), login.reachable_host, login.port, ssl=login.tls
            )
            return connection
    except OSError as error:  # TimeoutError is one
        raise LinkLost(str(error) or "no connection in time") from error


async def _introduced(connection: Mqtt5Connection, login: Login, identifier: str) -> None:
    """Raises LinkLost; UnsupportedVersion, NoAnswer: another version may work."""
    packet = ConnectPacket(
        identifier,
        username=login.username or None,
        password=login.password.encode() if login.password else None,
        clean_start=True,
        keep_alive=KEEP_ALIVE_S,
        max_packet_size=PACKET_BYTES_MAX,
    )
    try:
        answer = await connection.asked(packet.write(), mqtt5.ConnAckPacket)
    except LinkLost as error:
        raise error if connection.has_heard else NoAnswer(str(error)) from error
    if answer.reason_code == ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
        raise UnsupportedVersion("the broker does not speak MQTT 5")
    if answer.reason_code != ConnAckReasonCode.SUCCESS:
        raise LinkLost(f"the broker refuses the connection: {answer.reason_code.name.lower()}")
    connection.keep_alive(KEEP_ALIVE_S if answer.server_keep_alive is None else answer.server_keep_alive)
