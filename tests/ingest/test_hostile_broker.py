"""What strangers and devices try on the broker itself: connections, topics, packets. All counted."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiomqtt
import pytest

from coordinator.ingest import embedded_handler
from device_client.core.client import base_topic
from device_client.core.secret import broker_password
from tests.e2e.running import until

from .conftest import Scene
from .hand import Hand


def field(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT control packet with its length in base 128."""
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes((digit | (0x80 if length else 0),))
        if not length:
            return bytes((kind,)) + digits + body


def connect(client_id: bytes, username: bytes, password: bytes, clean: bool = True, will: bytes = b"") -> bytes:
    flags = 0xC0 | (0x02 if clean else 0) | (0x24 if will else 0)  # a will is retained here
    payload = field(client_id) + (field(will) + field(b"forged") if will else b"") + field(username) + field(password)
    return packet(0x10, field(b"MQTT") + bytes((4, flags)) + struct.pack(">H", 30) + payload)


def talk(scene: Scene, *sent: bytes, check: Callable[[], object] | None = None) -> bytes:
    """Send bytes on a raw connection; what comes back until the broker closes, or until `check` returns."""
    with socket.create_connection(("127.0.0.1", scene.net.mqtt_port), timeout=20) as connection:
        for data in sent:
            connection.sendall(data)
        if check:
            check()
            return b""
        received = b""
        while data := connection.recv(4096):
            received += data
        return received


OTHER_PROTOCOL = packet(0x10, field(b"MQIsdp") + b"\x03\xc2\x00\x1e" + field(b"device"))
REFUSED = b"\x20\x02\x00\x05"  # CONNACK: not authorized
ACCEPTED = b"\x20\x02\x00\x00"


@pytest.fixture
def hand(scene: Scene) -> Hand:
    return scene.enrolled()


def test_wrong_credentials(scene: Scene, hand: Hand) -> None:
    device, password = hand.id.hex().encode(), broker_password(hand.given.token_seed, hand.id).encode()
    other = os.urandom(16).hex().encode()
    attempts = {
        "wrong password": connect(device, device, b"0" * 64),
        "password of another device": connect(other, other, password),
        "client id is not the username": connect(other, device, password),
        "no client id": connect(b"", device, password),
        "the coordinator's name": connect(b"coordinator-test", b"coordinator", password),
        "a name that is no device": connect(b"admin", b"admin", b"admin"),
        "upper case": connect(device.upper(), device.upper(), password),
        "not UTF-8": connect(b"\xff\xfe", b"\xff\xfe", b"\xff"),
        "no credentials": packet(0x10, field(b"MQTT") + b"\x04\x02\x00\x1e" + field(device)),
    }
    for name, attempt in attempts.items():
        counted = scene.counted("bad_credentials", 1)
        assert talk(scene, attempt) == REFUSED, name
        counted()


def test_a_stranger_with_a_known_client_id_ends_no_session(scene: Scene, hand: Hand) -> None:
    """Device ids are public, and so is the coordinator's: knowing one must not cut its connection."""

    async def run() -> None:
        async with hand.connected() as client:
            await client.subscribe(hand.up.removesuffix("up") + "down")
            for name in (hand.id.hex().encode(), b"coordinator-test"):
                for clean in (True, False):
                    attack = connect(name, b"stranger", b"", clean, will=hand.up.encode())
                    assert await asyncio.to_thread(talk, scene, attack) == REFUSED
            await client.publish(hand.up, hand.report(scene.net.beacon()), qos=1)
            async with asyncio.timeout(10):
                async for message in client.messages:
                    if message.topic.value.endswith("/down"):
                        return

    counted = scene.counted("bad_credentials", 4)
    asyncio.run(run())
    counted()


def test_the_same_device_again_ends_its_older_connection(scene: Scene, hand: Hand) -> None:
    async def read(client: aiomqtt.Client) -> None:
        async for _ in client.messages:
            pass

    async def run() -> None:
        async with AsyncExitStack() as stack:
            older = await stack.enter_async_context(hand.connected())
            newer = await stack.enter_async_context(hand.connected())
            await newer.publish(hand.up, hand.report(scene.net.beacon()), qos=1)
            await asyncio.to_thread(until, lambda: scene.statements(hand) == 2, "the report")
            await asyncio.wait_for(read(older), 10)

    with pytest.raises(aiomqtt.MqttError):
        asyncio.run(run())


@pytest.mark.parametrize("retain", [False, True])
def test_publishing_elsewhere(scene: Scene, hand: Hand, retain: bool) -> None:
    """Another device's topics, another shard or network, and what only the coordinator says."""
    victim = scene.enrolled()
    base, other = base_topic("test", hand.id), base_topic("test", victim.id)
    topics = [
        other + "/up",
        other + "/down",
        base + "/down",
        base + "/up/more",
        base,
        f"edgetally/test/zz/{hand.id.hex()}/up",
        base_topic("other", hand.id) + "/up",
        "edgetally/test/beacon",
        "edgetally/test/keys",
        "edgetally/test/" + "x/" * 30,
        hand.up.upper(),
        "$SYS/broker",
        "a",
    ]

    async def run() -> None:
        async with hand.connected() as client:
            for topic in topics:
                await client.publish(topic, victim.report(scene.net.beacon()), qos=1, retain=retain)
            await client.publish(hand.up, hand.report(scene.net.beacon()), qos=1)
            await asyncio.to_thread(counted)

    counted = scene.counted("wrong_topic", len(topics))
    asyncio.run(run())
    until(lambda: scene.statements(hand) == 2, "the good report behind them")
    assert scene.statements(victim) <= 1


def test_a_topic_with_a_wildcard_reaches_nobody(scene: Scene, hand: Hand) -> None:
    device, password = hand.id.hex().encode(), broker_password(hand.given.token_seed, hand.id).encode()
    wild = [packet(0x30, field(topic) + bytes(200)) for topic in (b"edgetally/test/#", b"edgetally/+/beacon")]
    talk(scene, connect(device, device, password), *wild, check=lambda: None)
    good = [hand.report(scene.net.beacon())]
    hand.say(good, lambda: until(lambda: scene.statements(hand) == 2, "a good report behind them"))


def test_a_retained_report_is_delivered_once_and_never_kept(scene: Scene, hand: Hand) -> None:
    """Nor can the beacon that is retained be replaced or cleared by a device, by a will either."""
    device, password = hand.id.hex().encode(), broker_password(hand.given.token_seed, hand.id).encode()
    for topic in (b"edgetally/test/beacon", b"edgetally/test/keys", hand.up.encode()):
        # It goes without a word of goodbye, which is when a will would be published.
        talk(scene, connect(device, device, password, will=topic), check=lambda: None)

    async def run() -> list[bytes]:
        async with hand.connected() as client:
            for payload in (b"forged", b""):
                for topic in ("edgetally/test/beacon", "edgetally/test/keys"):
                    await client.publish(topic, payload, qos=1, retain=True)
            await client.publish(hand.up, hand.report(scene.net.beacon()), qos=1, retain=True)
            await asyncio.to_thread(counted)
        async with hand.connected() as client:
            await client.subscribe([("edgetally/test/keys", 1), ("edgetally/test/beacon", 1)])
            async with asyncio.timeout(10):
                return [(await anext(aiter(client.messages))).payload for _ in range(2)]

    counted = scene.counted("wrong_topic", 4)
    received = asyncio.run(run())
    assert scene.net.home.keys.read_bytes() in received
    assert b"forged" not in received and b"" not in received


def test_subscribing_elsewhere(scene: Scene, hand: Hand) -> None:
    victim = scene.hand()
    topics = [
        "#",
        "+/+/+/+/+",
        "edgetally/#",
        "edgetally/test/+/+/up",
        "edgetally/test/+/+/down",
        base_topic("test", victim.id) + "/down",
        base_topic("test", victim.id) + "/up",
        hand.up,
        "$SYS/#",
    ]

    async def run() -> None:
        async with hand.connected() as client:
            for topic in topics:
                granted = await client.subscribe(topic, qos=1)
                assert [int(getattr(code, "value", code)) for code in granted] == [0x80], topic
            assert await client.subscribe("edgetally/test/beacon", qos=1)

    counted = scene.counted("wrong_topic", len(topics))
    asyncio.run(run())
    counted()


def test_packets_that_are_none(scene: Scene, hand: Hand) -> None:
    device, password = hand.id.hex().encode(), broker_password(hand.given.token_seed, hand.id).encode()
    opening = connect(device, device, password)
    ten_megabytes = b"\x30" + b"\x80\x80\x80\x05"
    before_connect = {
        "a client id of 64 KB": ("oversized", packet(0x10, field(b"MQTT") + b"\x04\xc2\x00\x1e" + field(bytes(65535)))),
        "HTTP": ("oversized", b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n"),
    }
    for reason, sent in before_connect.values():
        talk(scene, sent, check=scene.counted(reason, 1))
    # Half a CONNECT is one as long as the other half may come; it is counted when the connection ends.
    halves = (opening[:1], opening[:5], opening[:-1], bytes.fromhex("160301010001") + bytes(64), OTHER_PROTOCOL)
    counted = scene.counted("malformed", len(halves))
    for half in halves:
        talk(scene, half, check=lambda: None)
    counted()
    counted = scene.counted("oversized", 2)
    assert talk(scene, opening, ten_megabytes + b"\x00" * 1000).startswith(ACCEPTED)
    assert talk(scene, opening, packet(0x30, field(hand.up.encode()) + bytes(8193))).startswith(ACCEPTED)
    counted()
    talk(scene, opening, packet(0xF0, b""))  # a reserved type ends the connection
    talk(scene, opening, b"\x30\xff\xff\xff\xff\xff", check=lambda: None)  # a length that never ends


def test_many_half_open_connections_leave_room(scene: Scene, hand: Hand) -> None:
    address = ("127.0.0.1", scene.net.mqtt_port)
    held = [socket.create_connection(address, timeout=10) for _ in range(200)]
    try:
        for connection in held[::2]:
            connection.sendall(b"\x10")

        async def run() -> None:
            async with hand.connected() as client:
                await client.publish(hand.up, hand.report(scene.net.beacon()), qos=1)

        asyncio.run(run())
        until(lambda: scene.statements(hand) == 2, "the report")
    finally:
        counted = scene.counted("malformed", 100)
        for connection in held:
            connection.close()
        counted()


def test_who_does_not_acknowledge_breaks_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise TimeoutError("Timeout waiting for PUBACK")

    monkeypatch.setattr(embedded_handler.BrokerProtocolHandler, "_handle_qos1_message_flow", never)
    handler = embedded_handler.Handler
    asyncio.run(handler._handle_qos1_message_flow(handler.__new__(handler), None))
