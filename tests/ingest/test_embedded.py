"""The embedded broker, listened to from within its process: what devices send, and the link's own ways."""

import asyncio
import struct
from itertools import pairwise

import pytest

from coordinator.ingest import embedded_handler, embedded_link
from coordinator.ingest import link as link_module
from coordinator.ingest.access import device_password
from coordinator.ingest.receipts import SignedSheet
from device_client.core.client import base_topic

from .embedded_parts import SECRET, At, embedded
from .link_parts import DEVICE, DOWN, LOOPS, NETWORK, UP, Consumer, runs_on, until
from .test_hostile_broker import ACCEPTED, connect, field, packet

OTHER = bytes([7]) * 16


@pytest.fixture(params=LOOPS, autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(link_module, "RECONNECT_S", 0.05)
    return str(request.param)


def within(at: At, room: int = 10**9, **options: object) -> Consumer:
    return Consumer(at.login, room, transports=at.transports, **options)


async def opened(at: At) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A device's connection, byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    name = DEVICE.hex().encode()
    writer.write(connect(name, name, device_password(SECRET, DEVICE).encode()))
    assert await reader.readexactly(4) == ACCEPTED
    return reader, writer


def published(payload: bytes, qos: int = 0, number: int = 1, topic: str = UP) -> bytes:
    identifier = struct.pack(">H", number) if qos else b""
    return packet(0x30 | qos << 1, field(topic.encode()) + identifier + payload)


def test_every_quality_of_service(loop: str) -> None:
    async def scenario() -> None:
        async with embedded() as at, within(at) as consumer, at.device(DEVICE) as client:
            await consumer.connected()
            for number in range(60):
                await client.publish(UP, b"%d" % number, qos=number % 3, retain=True)
            await consumer.came(60)
            assert sorted(consumer.got, key=int) == [b"%d" % number for number in range(60)]
            assert consumer.devices == {DEVICE}
            await client.subscribe(DOWN, qos=1)
            await consumer.link.send(SignedSheet(b"receipt", [DEVICE, OTHER], []))
            message = await asyncio.wait_for(anext(aiter(client.messages)), 10)
            assert (message.payload, message.qos, message.retain) == (b"receipt", 0, False)
            assert not at.refused

    runs_on(loop)(scenario)


def test_only_its_own_topic(loop: str) -> None:
    async def scenario() -> None:
        async with embedded() as at, within(at) as consumer:
            await consumer.connected()
            reader, writer = await opened(at)
            elsewhere = (base_topic(NETWORK, OTHER) + "/up", DOWN, UP + "/more", "$SYS/x", "")
            for topic in elsewhere:
                writer.write(published(b"forged", topic=topic))
            for topic in ("edgetally/#", f"edgetally/{NETWORK}/+/+/up"):
                writer.write(published(b"wild", topic=topic))
            writer.write(published(b"good", qos=1, number=258))
            assert await reader.readexactly(4) == b"\x40\x02\x01\x02"
            assert consumer.got == [b"good"] and consumer.foreign == 0
            assert at.refused == {"wrong_topic": len(elsewhere)}
            writer.close()

    runs_on(loop)(scenario)


ENDS = {
    "a topic longer than its packet": b"\x30\x04\x00\x10ab",
    "no room for the packet id": b"\x32\x03\x00\x01a",
    "nothing in it": b"\x30\x00",
    "QoS 3": published(b"x", qos=3),
    "a reserved type": b"\xf0\x00",
    "a second CONNECT": connect(b"a", b"b", b"c"),
    "an answer only a broker gives": b"\xd0\x00",
    "a length that never ends": b"\x30\xff\xff\xff\xff\x01",
    "many messages that it does not release": b"".join(published(b"x", qos=2, number=one) for one in range(1, 40)),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_ends_a_connection(loop: str, name: str) -> None:
    async def scenario() -> None:
        async with embedded() as at, within(at) as consumer:
            await consumer.connected()
            reader, writer = await opened(at)
            writer.write(published(b"before") + ENDS[name] + published(b"behind"))
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
            assert consumer.got == [b"before"]
            assert len(at.broker._broker.inside) == 1  # type: ignore[union-attr]

    runs_on(loop)(scenario)


def test_a_flood_gives_others_their_turn(loop: str) -> None:
    """All of it lies in the buffer, yet between its packets the loop goes round."""

    async def scenario() -> None:
        async with embedded() as at, within(at) as consumer:
            await consumer.connected()
            _, writer = await opened(at)
            turns: list[int] = []
            count = 20 * embedded_handler.PACKETS_IN_A_ROW_MAX
            writer.write(b"".join(published(b"%d" % number) for number in range(count)))
            while len(consumer.got) < count:
                await asyncio.sleep(0)
                turns.append(len(consumer.got))
            steps = [after - before for before, after in pairwise(turns)]
            assert max(steps) <= 2 * embedded_handler.PACKETS_IN_A_ROW_MAX
            assert consumer.got == [b"%d" % number for number in range(count)]
            writer.close()

    runs_on(loop)(scenario)


def test_who_does_not_read_its_receipts_is_gone(loop: str) -> None:
    async def scenario() -> None:
        async with embedded() as at, within(at) as consumer, at.device(OTHER) as honest:
            await consumer.connected()
            await honest.subscribe(base_topic(NETWORK, OTHER) + "/down")
            reader, writer = await opened(at)
            writer.write(packet(0x82, b"\x00\x01" + field(DOWN.encode()) + b"\x00"))
            assert await reader.readexactly(5) == b"\x90\x03\x00\x01\x00"
            sessions = at.broker._broker._sessions  # type: ignore[union-attr]
            await consumer.link.send_all(SignedSheet(bytes(4096), [DEVICE], []) for _ in range(5_000))
            await until(lambda: DEVICE.hex() not in sessions, "its end")
            await consumer.link.send(SignedSheet(b"honest", [DEVICE, OTHER], []))
            assert (await asyncio.wait_for(anext(aiter(honest.messages)), 10)).payload == b"honest"
            writer.close()

    runs_on(loop)(scenario)


@pytest.mark.parametrize("is_early", [True, False])
def test_who_is_full(loop: str, monkeypatch: pytest.MonkeyPatch, is_early: bool) -> None:
    """It gets as much as it has room for; a bounded number waits, and what is beyond is gone."""
    monkeypatch.setattr(embedded_link, "WAITING_MAX", 50)

    async def scenario() -> None:
        async with embedded() as at, at.device(DEVICE) as client:
            consumer = within(at, 10)
            if is_early:
                consumer.link.pause()
            async with consumer:
                await consumer.connected()
                for number in range(100):
                    await client.publish(UP, b"%d" % number, qos=1)
                assert len(consumer.got) == (0 if is_early else 10)
                assert consumer.link._session.dropped == (50 if is_early else 40)  # type: ignore[union-attr]
                consumer.link.resume()
                await consumer.came(10 if is_early else 11)
                consumer.room = 10**9
                consumer.link.resume()
                kept = 50 if is_early else 60
                await consumer.came(kept)
                await client.publish(UP, b"last")
                await consumer.came(kept + 1)
                assert consumer.got == [*(b"%d" % number for number in range(kept)), b"last"]

    runs_on(loop)(scenario)


def test_who_has_gone_leaves_nothing_behind(loop: str) -> None:
    beacon = f"edgetally/{NETWORK}/beacon"

    async def scenario() -> None:
        async with embedded() as at, within(at) as consumer, at.device(OTHER) as stays:
            await consumer.link.retain("beacon", b"1")
            await consumer.connected()
            await stays.subscribe(beacon)
            async with at.device(DEVICE) as client:
                with pytest.raises(TimeoutError):  # it has not asked yet, though another has
                    await asyncio.wait_for(anext(aiter(client.messages)), 0.1)
                await client.subscribe([(beacon, 1), (DOWN, 1)])
                assert (await asyncio.wait_for(anext(aiter(client.messages)), 10)).payload == b"1"
            inner = at.broker._broker
            assert inner is not None
            await until(lambda: len(inner._sessions) == 1, "the end of its session")
            assert {pattern: len(held) for pattern, held in inner._subscriptions.items()} == {beacon: 1}

    runs_on(loop)(scenario)


def test_two_who_listen(loop: str) -> None:
    async def scenario() -> None:
        shard = f"edgetally/{NETWORK}/{DEVICE.hex()[:2]}/+/up"
        async with (
            embedded() as at,
            within(at, filters=[shard]) as one,
            within(at, filters=()) as none,
            Consumer(at.login, identifier="two") as two,
            at.device(DEVICE) as client,
            at.device(OTHER) as other,
        ):
            for consumer in (one, none, two):
                await consumer.connected()
            await client.publish(UP, b"mine")
            await other.publish(base_topic(NETWORK, OTHER) + "/up", b"other")
            await two.came(2)
            assert (one.got, none.got) == ([b"mine"], [])
            assert sorted(two.got) == [b"mine", b"other"]

    runs_on(loop)(scenario)


def test_it_outlives_its_broker(loop: str) -> None:
    async def scenario() -> None:
        at = At()
        async with within(at) as consumer:
            await consumer.link.retain("beacon", b"1")
            async with at.broker:
                await consumer.connected()
            await until(lambda: not consumer.link.connected.is_set(), "the loss to be noticed")
            await consumer.link.retain("beacon", b"2")
            await consumer.link.send_all([SignedSheet(b"lost", [DEVICE], [])])
            async with at.broker:
                await consumer.connected()
                async with at.device(DEVICE) as client:
                    await client.subscribe(f"edgetally/{NETWORK}/beacon")
                    message = await asyncio.wait_for(anext(aiter(client.messages)), 10)
                    assert (message.payload, message.retain) == (b"2", True)
                    await client.publish(UP, b"again")
                    await consumer.came(1)

    runs_on(loop)(scenario)


class Broken(Exception):
    pass


def test_what_the_consumer_raises_comes_out_of_run(loop: str) -> None:
    """It is a fault of ours: the device's connection knows nothing of it."""

    async def scenario() -> None:
        def take(message: bytes, device: bytes) -> None:
            raise Broken

        async with embedded() as at, at.device(DEVICE) as client:
            consumer = within(at)
            consumer.link._take = take
            running = asyncio.create_task(consumer.link.run())
            await consumer.connected()
            await client.publish(UP, b"x", qos=1)
            with pytest.raises(Broken):
                await asyncio.wait_for(running, 5)
            await client.publish(UP, b"x", qos=1)

    runs_on(loop)(scenario)
