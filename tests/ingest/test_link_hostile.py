"""What a broker may do to the link: garbage, silence, refusals, slowness. The session ends, never the process."""

import asyncio
import struct

import mqtt5
import pytest
from mqtt5 import ConnAckReasonCode, DisconnectPacket, PubAckReasonCode, PublishPacket, QoS, SubAckReasonCode

from coordinator.ingest import link as link_module
from coordinator.ingest.mqtt5_frames import is_partial, packet_bytes
from coordinator.ingest.receipts import SignedSheet
from coordinator.ingest.transport import PACKET_BYTES_MAX, LinkLost

from .link_parts import DEVICE, DOWN, LOOPS, UP, Consumer, ObedientBroker, Peer, runs_on, until

GARBAGE = {
    "a reserved type": b"\x00\x00",
    "a length that never ends": b"\x30\xff\xff\xff\xff\x01",
    "QoS 3": b"\x36\x05\x00\x01a\x00\x00",
    "a topic longer than its packet": b"\x30\x05\x00\x10ab\x00",
    "properties longer than their packet": b"\x30\x08\x00\x01a\x05\x01x\x00\x00",
    "a topic that is not UTF-8": b"\x30\x06\x00\x01\xff\x00ab",
    "an unknown property": b"\x30\x06\x00\x01a\x02\x7f\x00",
    "larger than announced": b"\x30\xff\xff\xff\x7f" + bytes(100),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100),
    "a DISCONNECT": DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SERVER_BUSY).write(),
    "half a packet, and the end": b"\x30\x06\x00",
}


@pytest.fixture(params=LOOPS, autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(link_module, "RECONNECT_S", 0.01)
    return str(request.param)


async def listen(peer: Peer) -> None:
    """Until the link goes."""
    while await peer.packet() is not None:
        pass


@pytest.mark.parametrize("is_welcome", [True, False])
@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the decoder leaves one when it panics
def test_garbage(loop: str, name: str, is_welcome: bool) -> None:
    """A good message before it arrives, nothing behind it does; the next session works."""

    async def talk(peer: Peer, number: int) -> None:
        if number == 0:
            if is_welcome:
                await peer.welcome()
                peer.send(PublishPacket(UP, b"before"))
            peer.send(GARBAGE[name], PublishPacket(UP, b"behind"))
            if name.startswith("half"):
                return
        else:
            await peer.welcome()
            peer.send(PublishPacket(UP, b"next"))
        await listen(peer)

    async def scenario() -> None:
        async with (
            ObedientBroker(talk).listening() as broker,
            Consumer(broker.login._replace(versions=(5,))) as consumer,
        ):
            await consumer.came(2 if is_welcome else 1)
            assert consumer.got == ([b"before"] if is_welcome else []) + [b"next"]

    runs_on(loop)(scenario)


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_garbage_that_was_held(loop: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """It came while the consumer was full, so it is looked at later and elsewhere; nothing comes behind it."""

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome()
        peer.send(PublishPacket(UP, b"%d" % number) if number else PublishPacket(UP, b"0").write() + GARBAGE[name])
        if not (number == 0 and name.startswith("half")):
            await listen(peer)

    async def scenario() -> None:
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login, 1) as consumer:
            await consumer.came(1)
            consumer.room = 10**9
            consumer.link.resume()
            await consumer.came(2)
            assert consumer.got == [b"0", b"1"]

    runs_on(loop)(scenario)
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_byte_by_byte(loop: str) -> None:
    packets = [PublishPacket(UP, bytes([number]) * 300).write() for number in range(3)]

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome()
        for byte in b"".join(packets):
            peer.send(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)
        await listen(peer)

    async def scenario() -> None:
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login) as consumer:
            await consumer.came(3)
            assert consumer.got == [bytes([number]) * 300 for number in range(3)]

    runs_on(loop)(scenario)


def test_the_largest_packet() -> None:
    """`packet_bytes` agrees with the encoder on every length of the head."""
    for size in (0, 1, 100, 127, 128, 16_383, PACKET_BYTES_MAX, 2_097_151, 2_097_152):
        packet = PublishPacket("a", bytes(size)).write()
        assert packet_bytes(packet, 0) == len(packet)
        assert packet_bytes(b"x" + packet, 1) == len(packet)
        assert packet_bytes(packet[:1], 0) == 0
        if len(packet) <= PACKET_BYTES_MAX:
            assert not is_partial(packet, 0) and is_partial(packet[:-1], 0) and is_partial(packet[:1], 0)
        else:
            with pytest.raises(LinkLost):
                is_partial(packet[:10], 0)


def test_what_comes_with_the_welcome_waits_its_turn(loop: str) -> None:
    """Before what is retained is out, nothing is delivered; then in order, and no more than there is room for."""

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome()
        peer.send(*(PublishPacket(UP, b"%d" % number) for number in range(10)))
        beacon = await peer.packet()
        assert beacon.retain and not consumer.got
        peer.send(*(PublishPacket(UP, b"%d" % number) for number in range(10, 20)))
        peer.send(mqtt5.PubAckPacket(beacon.packet_id))
        peer.send(*(PublishPacket(UP, b"%d" % number) for number in range(20, 30)))
        await listen(peer)

    async def scenario() -> None:
        nonlocal consumer
        async with ObedientBroker(talk).listening() as broker:
            consumer = Consumer(broker.login, 4)
            await consumer.link.retain("beacon", b"1")
            async with consumer:
                for count in range(4, 30, 4):
                    await consumer.came(count)
                    assert len(consumer.got) == count
                    consumer.room = count + 4
                    consumer.link.resume()
                await consumer.came(30)
                assert consumer.got == [b"%d" % number for number in range(30)]

    consumer: Consumer
    runs_on(loop)(scenario)


def test_version_3_is_remembered(loop: str) -> None:
    versions: list[int] = []

    async def talk(peer: Peer, number: int) -> None:
        head = await peer.reader.readexactly(2)
        connect = await peer.reader.readexactly(head[1])
        versions.append(connect[6])
        if connect[6] == 5:
            peer.send(b"\x20\x02\x00\x01")
            return
        peer.send(b"\x20\x02\x00\x00")
        head = await peer.reader.readexactly(2)
        subscribe = await peer.reader.readexactly(head[1])
        peer.send(b"\x90\x03" + subscribe[:2] + b"\x00")
        peer.send(b"\x30" + bytes([len(UP) + 3]) + struct.pack(">H", len(UP)) + UP.encode() + b"x")
        await until(lambda: len(consumer.got) == number, "the message")

    async def scenario() -> None:
        nonlocal consumer
        async with ObedientBroker(talk).listening() as broker:
            consumer = Consumer(broker.login)
            async with consumer:
                await consumer.came(2)
        assert versions[:3] == [5, 4, 4]

    consumer: Consumer
    runs_on(loop)(scenario)


def test_version_5_says_no(loop: str) -> None:
    """A broker of version 5 that refuses for another reason is asked in version 5 again."""

    async def talk(peer: Peer, number: int) -> None:
        if number < 3:
            assert isinstance(await peer.packet(), mqtt5.ConnectPacket)
            peer.send(mqtt5.ConnAckPacket(reason_code=ConnAckReasonCode.NOT_AUTHORIZED))
            return
        await peer.welcome()
        await listen(peer)

    async def scenario() -> None:
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login) as consumer:
            await consumer.connected()

    runs_on(loop)(scenario)


def test_a_refused_subscription_is_tried_again(loop: str) -> None:
    async def talk(peer: Peer, number: int) -> None:
        if number:
            await peer.welcome()
            await listen(peer)
            return
        await peer.packet()
        peer.send(mqtt5.ConnAckPacket())
        asked = await peer.packet()
        peer.send(mqtt5.SubAckPacket(asked.packet_id, [SubAckReasonCode.NOT_AUTHORIZED]))
        assert isinstance(await peer.packet(), DisconnectPacket)

    async def scenario() -> None:
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login) as consumer:
            await consumer.connected()
            assert broker.count == 2

    runs_on(loop)(scenario)


def test_acknowledgements(loop: str) -> None:
    """`retain` waits for the right one; a refusal is logged and ends nothing; on leaving, a DISCONNECT."""
    said: list[object] = []

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome()
        packet = await peer.packet()
        said.append(packet.qos == QoS.AT_LEAST_ONCE and packet.retain)
        peer.send(mqtt5.PubAckPacket(packet.packet_id + 1))
        await asyncio.wait_for(wrong.wait(), 10)
        peer.send(mqtt5.PubAckPacket(packet.packet_id, reason_code=PubAckReasonCode.NOT_AUTHORIZED))
        packet = await peer.packet()
        peer.send(mqtt5.PubAckPacket(packet.packet_id))
        said.append(type(await peer.packet()))
        gone.set()

    async def scenario() -> None:
        nonlocal gone, wrong
        gone, wrong = asyncio.Event(), asyncio.Event()
        async with ObedientBroker(talk).listening() as broker:
            async with Consumer(broker.login) as consumer:
                await consumer.connected()
                first = asyncio.create_task(consumer.link.retain("beacon", b"1"))
                done, _ = await asyncio.wait([first], timeout=0.1)
                assert not done
                wrong.set()
                await asyncio.wait_for(first, 5)
                await asyncio.wait_for(consumer.link.retain("beacon", b"2"), 5)
            await asyncio.wait_for(gone.wait(), 5)
            assert broker.count == 1
        assert said == [True, DisconnectPacket]

    gone: asyncio.Event
    wrong: asyncio.Event
    runs_on(loop)(scenario)


@pytest.mark.parametrize("answers", [True, False])
def test_keep_alive(loop: str, answers: bool) -> None:
    """The broker chooses the interval. One that does not answer a ping is left, one that does is kept."""
    pings: list[int] = []

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome(server_keep_alive=1)
        while (packet := await peer.packet()) is not None:
            if isinstance(packet, mqtt5.PingReqPacket):
                pings.append(number)
                if answers:
                    peer.send(mqtt5.PingRespPacket())

    async def scenario() -> None:
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login):
            await until(lambda: len(pings) >= 3 or broker.count >= 3, "three pings, or three sessions")
            assert (broker.count == 1) == answers

    runs_on(loop)(scenario)


def test_who_is_full_does_not_take_that_for_silence(loop: str) -> None:
    pings: list[int] = []

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome(server_keep_alive=1)
        peer.send(PublishPacket(UP, b"1"), PublishPacket(UP, b"2"))
        while (packet := await peer.packet()) is not None:
            if isinstance(packet, mqtt5.PingReqPacket):
                pings.append(number)
                peer.send(mqtt5.PingRespPacket())

    async def scenario() -> None:
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login, 1) as consumer:
            await until(lambda: len(pings) >= 4, "four pings")
            assert consumer.got == [b"1"]
            consumer.link.resume()
            await consumer.came(2)
            assert broker.count == 1

    runs_on(loop)(scenario)


def test_a_slow_broker_slows_down_who_sends(loop: str) -> None:
    """Eight megabytes of receipts wait until the broker reads, and arrive whole and in order."""
    count = 8_000
    seen: list[bytes] = []

    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome()
        await asyncio.wait_for(reads.wait(), 10)
        while len(seen) < count and (packet := await peer.packet()) is not None:
            assert packet.topic == DOWN
            seen.append(packet.payload)
        all_read.set()
        await listen(peer)

    async def scenario() -> None:
        nonlocal reads, all_read
        reads, all_read = asyncio.Event(), asyncio.Event()
        made = 0

        def sheets():  # type: ignore[no-untyped-def]
            nonlocal made
            for made in range(1, count + 1):
                yield SignedSheet(b"%d " % made + bytes(1024), [DEVICE], [])

        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login) as consumer:
            await consumer.connected()
            sending = asyncio.create_task(consumer.link.send_all(sheets()))
            done, _ = await asyncio.wait([sending], timeout=0.3)
            assert not done and made < count
            reads.set()
            await asyncio.wait_for(sending, 10)
            await asyncio.wait_for(all_read.wait(), 10)
            assert seen == [b"%d " % number + bytes(1024) for number in range(1, count + 1)]

    reads: asyncio.Event
    all_read: asyncio.Event
    runs_on(loop)(scenario)


def test_a_broker_that_dies_while_we_wait_for_it_to_read(loop: str) -> None:
    async def talk(peer: Peer, number: int) -> None:
        await peer.welcome()
        if number == 0:
            await asyncio.wait_for(dies.wait(), 10)
            peer.writer.transport.abort()
        else:
            await listen(peer)

    async def scenario() -> None:
        nonlocal dies
        dies = asyncio.Event()
        async with ObedientBroker(talk).listening() as broker, Consumer(broker.login) as consumer:
            await consumer.connected()
            endless = (SignedSheet(bytes(1024), [DEVICE], []) for _ in range(50_000))
            sending = asyncio.create_task(consumer.link.send_all(endless))
            done, _ = await asyncio.wait([sending], timeout=0.2)
            assert not done
            dies.set()
            await asyncio.wait_for(sending, 5)
            await until(lambda: broker.count == 2 and consumer.link.connected.is_set(), "the next session")

    dies: asyncio.Event
    runs_on(loop)(scenario)


class Broken(Exception):
    pass


@pytest.mark.parametrize(("version", "is_early"), [(5, True), (5, False), (4, True)])
def test_what_the_consumer_raises_comes_out_of_run(loop: str, version: int, is_early: bool) -> None:
    """It is a fault of ours, not of the session."""

    async def talk(peer: Peer, number: int) -> None:
        if version == 5:
            await peer.welcome()
            if not is_early:
                await until(lambda: consumer.link.connected.is_set(), "the link")
            peer.send(PublishPacket(UP, b"x"))
        else:
            await peer.reader.read(1000)
            peer.send(b"\x20\x02\x00\x00")
            subscribe = await peer.reader.read(1000)
            peer.send(b"\x90\x03" + subscribe[2:4] + b"\x00")
            peer.send(b"\x30" + bytes([len(UP) + 3]) + struct.pack(">H", len(UP)) + UP.encode() + b"x")
        await asyncio.sleep(5)

    async def scenario() -> None:
        nonlocal consumer

        def take(message: bytes, device: bytes) -> None:
            raise Broken

        async with ObedientBroker(talk).listening() as broker:
            consumer = Consumer(broker.login._replace(versions=(version,)))
            consumer.link._take = take
            with pytest.raises(Broken):
                await asyncio.wait_for(consumer.link.run(), 5)

    consumer: Consumer
    runs_on(loop)(scenario)
