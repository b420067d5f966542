"""The coordinator's link at real brokers: mosquitto in both versions of MQTT, and the embedded one; from within too."""

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from coordinator.ingest import link as link_module
from coordinator.ingest import mqtt5_protocol
from coordinator.ingest.link import TRANSPORTS
from coordinator.ingest.receipts import SignedSheet
from coordinator.ingest.transport import Login
from device_client.core.client import base_topic, enroll_topic

from .embedded_parts import embedded
from .link_parts import DEVICE, DOWN, LOOPS, NETWORK, TOKEN, UP, Consumer, OpenMosquitto, broker, runs_on, until

MANY = 3000
KIB = bytes(1024)
__all__ = ["broker"]


@pytest.fixture(params=LOOPS, autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(link_module, "RECONNECT_S", 0.05)
    return str(request.param)


@contextlib.asynccontextmanager
async def other(login: Login, *topics: str) -> AsyncIterator[aiomqtt.Client]:
    """Another client at the same broker."""
    async with login._replace(versions=(4,)).client("other") as client:
        for topic in topics:
            await client.subscribe(topic)
        yield client


async def all_ways(login: Login, **options: Any) -> None:
    """What is up arrives in order, what goes down reaches each device, what is retained stays."""
    async with (
        other(login, DOWN, enroll_topic(NETWORK, TOKEN) + "/down") as client,
        Consumer(login, **options) as consumer,
    ):
        await consumer.link.retain("keys", b"keys")
        await consumer.connected()
        for number in range(100):
            await client.publish(UP, b"%d" % number)
        await client.publish(enroll_topic(NETWORK, TOKEN) + "/up", b"enrol me")
        await client.publish(f"edgetally/{NETWORK}/zz/{DEVICE.hex()}/up", b"wrong shard")
        await client.publish(UP, b"last")
        await consumer.came(101)
        assert consumer.got == [b"%d" % number for number in range(100)] + [b"last"]
        assert consumer.devices == {DEVICE} and consumer.foreign == 1
        assert consumer.first.taken == [(b"enrol me", TOKEN)]
        consumer.first.waiting = [enroll_topic(NETWORK, TOKEN) + "/down"]
        await consumer.link.send_all(SignedSheet(b"%d" % number, [DEVICE, bytes(16)], []) for number in range(50))
        await consumer.link.send(SignedSheet(b"end", [DEVICE], []))
        seen: dict[str, list[object]] = {}
        async with asyncio.timeout(10):
            async for message in client.messages:
                seen.setdefault(message.topic.value, []).append(message.payload)
                if message.payload == b"end":
                    break
        assert seen == {DOWN: [b"%d" % n for n in range(50)] + [b"end"], enroll_topic(NETWORK, TOKEN) + "/down": [b"0"]}
        await consumer.link.retain("beacon", b"beacon")
        await client.subscribe(f"edgetally/{NETWORK}/+")
        retained = {(await anext(aiter(client.messages))).payload for _ in range(2)}
        assert retained == {b"keys", b"beacon"}


@pytest.mark.parametrize("version", [5, 4])
def test_all_ways_at_mosquitto(broker: OpenMosquitto, loop: str, version: int) -> None:
    runs_on(loop)(lambda: all_ways(broker.login._replace(versions=(version,))))


@pytest.mark.parametrize("is_within", [True, False])
def test_all_ways_at_the_embedded_broker(loop: str, is_within: bool) -> None:
    async def scenario() -> None:
        async with embedded() as at:
            await all_ways(at.login, transports=at.transports if is_within else TRANSPORTS)

    runs_on(loop)(scenario)


@pytest.mark.parametrize("version", [5, 4])
def test_it_outlives_its_broker(broker: OpenMosquitto, loop: str, version: int) -> None:
    """mosquitto forgets what is retained: it is published again, in its newest form."""

    async def scenario() -> None:
        login = broker.login._replace(versions=(version,))
        async with Consumer(login) as consumer:
            await consumer.link.retain("beacon", b"1")
            await consumer.connected()
            await consumer.link.retain("beacon", b"2")
            broker.kill()
            await until(lambda: not consumer.link.connected.is_set(), "the loss to be noticed")
            await consumer.link.retain("beacon", b"3")
            await consumer.link.send_all([SignedSheet(b"lost", [DEVICE], [])])
            broker.start()
            await consumer.connected()
            async with other(login, f"edgetally/{NETWORK}/beacon") as client:
                assert (await asyncio.wait_for(anext(aiter(client.messages)), 10)).payload == b"3"
                await client.publish(UP, b"again")
                await consumer.came(1)

    runs_on(loop)(scenario)


def test_who_is_full_is_not_read_and_misses_nothing(broker: OpenMosquitto, loop: str) -> None:
    room = 50

    async def scenario() -> None:
        async with Consumer(broker.login, room) as consumer, other(broker.login, UP) as client:
            await consumer.connected()
            for number in range(MANY):
                await client.publish(UP, b"%d " % number + KIB)
            stream = aiter(client.messages)
            for _ in range(MANY):  # the broker has sent it to everybody
                await asyncio.wait_for(anext(stream), 10)
            assert len(consumer.got) == room
            connection = consumer.link._session._connection  # type: ignore[union-attr]
            assert not connection._transport.is_reading()
            assert len(connection._held) < 300 * len(KIB)
            while len(consumer.got) < MANY:
                before = len(consumer.got)
                consumer.room = before + room
                consumer.link.resume()
                await consumer.came(min(MANY, before + room))
                assert len(consumer.got) <= before + room
            assert consumer.got == [b"%d " % number + KIB for number in range(MANY)]
            consumer.link.resume()
            consumer.room = 10**9
            await client.publish(UP, b"last")
            await consumer.came(MANY + 1)

    runs_on(loop)(scenario)


def test_who_is_full_at_version_4(broker: OpenMosquitto, loop: str) -> None:
    async def scenario() -> None:
        login = broker.login._replace(versions=(4,))
        async with Consumer(login, 10) as consumer, other(login, UP) as client:
            await consumer.connected()
            for number in range(100):
                await client.publish(UP, b"%d" % number)
            stream = aiter(client.messages)
            for _ in range(100):
                await asyncio.wait_for(anext(stream), 10)
            assert len(consumer.got) == 10
            consumer.room = 10**9
            consumer.link.resume()
            await consumer.came(100)
            assert consumer.got == [b"%d" % number for number in range(100)]

    runs_on(loop)(scenario)


def test_full_when_the_link_comes(broker: OpenMosquitto, loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is full before there is a session, or between two, gets nothing; yet the session comes about."""

    async def scenario() -> None:
        consumer = Consumer(broker.login)
        consumer.link.pause()
        await consumer.link.retain("beacon", b"1")
        async with consumer, other(broker.login, UP) as client:
            await consumer.connected()
            for number in range(5):
                await client.publish(UP, b"%d" % number)
            for _ in range(5):
                await asyncio.wait_for(anext(aiter(client.messages)), 10)
            assert consumer.got == []
            consumer.link.resume()
            await consumer.came(5)

    runs_on(loop)(scenario)


def test_shards(broker: OpenMosquitto, loop: str) -> None:
    """Two links with filters of their own: each gets its shards only."""
    devices = [bytes([shard]) * 16 for shard in range(4)]

    async def scenario() -> None:
        def filters(*shards: int) -> list[str]:
            return [f"edgetally/{NETWORK}/{shard:02x}/+/up" for shard in shards]

        enrolling = f"edgetally/{NETWORK}/enroll/+/up"
        async with (
            Consumer(broker.login, filters=[*filters(0, 1), enrolling], identifier="one") as one,
            Consumer(broker.login, filters=filters(2, 3), identifier="two") as two,
            other(broker.login) as client,
        ):
            await one.connected()
            await two.connected()
            for device in devices:
                await client.publish(base_topic(NETWORK, device) + "/up", device)
            await client.publish(enroll_topic(NETWORK, TOKEN) + "/up", b"enrol me")
            await one.came(2)
            await two.came(2)
            await until(lambda: one.first.taken, "the enrolment")
            assert (one.got, two.got) == (devices[:2], devices[2:])
            assert not two.first.taken

    runs_on(loop)(scenario)


def test_tls(tmp_path: Path, loop: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", tmp_path / "key", "-out", tmp_path / "crt", "-subj", "/CN=localhost"]
    subprocess.run([*command, *files, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    mosquitto = OpenMosquitto(tmp_path, f"certfile {tmp_path / 'crt'}\nkeyfile {tmp_path / 'key'}\n")
    mosquitto.start()

    async def scenario() -> None:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "crt"))
        login = mosquitto.login._replace(tls=trusted)
        async with Consumer(login._replace(tls=ssl.create_default_context())) as stranger:
            await all_ways(login)
            assert not stranger.link.connected.is_set()

    try:
        runs_on(loop)(scenario)
    finally:
        mosquitto.kill()


def test_a_broker_that_is_silent_at_version_5(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """amqtt takes a CONNECT of version 5 for one of 3.1.1 that is not whole, and waits for the rest."""
    monkeypatch.setattr(mqtt5_protocol, "ANSWER_S", 0.3)

    async def scenario() -> None:
        async with embedded() as at:
            await all_ways(at.login._replace(versions=(5, 4)))

    runs_on(loop)(scenario)


def test_what_is_retained_waits_for_those_who_listen(broker: OpenMosquitto, loop: str) -> None:
    """At every connection, also after the broker's death: what devices take for a sign comes when it is one."""

    async def scenario() -> None:
        listening, asked, told = asyncio.Event(), 0, list[bool]()

        async def heard() -> None:
            nonlocal asked
            asked += 1
            await listening.wait()

        async with Consumer(broker.login, heard=heard, told=told.append) as consumer:
            for lives in range(1, 3):
                await consumer.link.retain("beacon", b"beacon")
                await until(lambda lives=lives: asked == lives, "the question")
                async with other(broker.login, f"edgetally/{NETWORK}/beacon", "own") as client:
                    await consumer.link.retain("beacon", b"newer")
                    await client.publish("own", b"own")
                    assert (await anext(aiter(client.messages))).payload == b"own"
                    assert not consumer.link.connected.is_set()
                    listening.set()
                    assert (await anext(aiter(client.messages))).payload == b"newer"
                await consumer.connected()
                assert told == [True, False][: 2 * lives - 1] + [True] * (lives - 1)
                listening.clear()
                broker.kill()
                await until(lambda: not consumer.link.connected.is_set(), "the loss")
                broker.start()

    runs_on(loop)(scenario)
