"""The link on both interpreters: against real brokers, and against a scripted server for what no broker does."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from tests.firmware.link_parts import HERE, PATIENCE_S, Program, Server, mqtt_packets, script
from tests.parts import free_port, require_micropython, require_mosquitto

PASSWORD = "open sesame"


@pytest.fixture(params=["cpython", "micropython"])
def interpreter(request):
    return sys.executable if request.param == "cpython" else require_micropython()


@pytest.fixture(params=["amqtt", "mosquitto"])
def broker(request, tmp_path):
    """A function from a port to the broker program that will listen there."""
    if request.param == "amqtt":
        return lambda port: Program([sys.executable, str(HERE / "link_broker.py"), str(port), PASSWORD])
    mosquitto = require_mosquitto()
    passwords, settings = tmp_path / "passwords", tmp_path / "mosquitto.conf"
    for name in ("device-1", "peer"):
        create = [] if passwords.exists() else ["-c"]
        subprocess.run(["mosquitto_passwd", *create, "-b", str(passwords), name, PASSWORD], check=True)

    def program(port):
        settings.write_text(f"user root\nlistener {port} 127.0.0.1\npassword_file {passwords}\nlog_dest stderr\n")
        return Program([mosquitto, "-c", str(settings)])

    return program


def device(interpreter, port, password=PASSWORD, **settings):
    return Program(
        **script(interpreter, "link_device.py", json.dumps({"port": port, "password": password, **settings}))
    )


@asynccontextmanager
async def peer(port):
    """The other end: hears `up`, speaks on `down`."""
    async with aiomqtt.Client("127.0.0.1", port, identifier="peer", username="peer", password=PASSWORD) as client:
        await client.subscribe("up", qos=1)
        yield client


async def heard(client):
    return await asyncio.wait_for(anext(client.messages), PATIENCE_S)


def test_messages_go_both_ways_at_both_qualities(interpreter, broker):
    async def main():
        port = free_port()
        async with broker(port) as running:
            await running.until("running")
            async with peer(port) as client, device(interpreter, port) as board:
                await board.until("up")
                for qos in (0, 1):
                    await client.publish("down", b"publish %d \x00 bytes" % qos, qos=qos)
                    assert (await heard(client)).payload == b"\x00 bytes"
                    assert await board.until("published") == f"{qos} True"
                await client.publish("beacon", bytes(4000), qos=1)
                assert await board.until("received") == "beacon 4000"
                await client.publish("down", b"stop")
                counters = await board.counters()
        counted = {name: count for name, count in counters.items() if count}
        assert counted == {"connects": 1, "received": 4, "published": 2}

    asyncio.run(main())


def test_wrong_password_is_refused_counted_and_tried_again(interpreter, broker):
    async def main():
        port = free_port()
        async with broker(port) as running:
            await running.until("running")
            async with device(interpreter, port, password="wrong", sessions_max=3) as board:
                counters = await board.counters()
        # Which of the two codes (3.2.2.3) is the broker's choice.
        assert counters.get("refused_credentials", 0) + counters.get("refused_unauthorized", 0) == 3
        assert (counters["failed"], counters["connects"]) == (3, 0)

    asyncio.run(main())


def test_killed_and_restarted_broker_finds_the_device_again(interpreter, broker):
    async def main():
        port = free_port()
        async with device(interpreter, port) as board:
            await board.until("delay")
            for _ in range(2):
                async with broker(port) as running:
                    await running.until("running")
                    await board.until("up")
                    async with peer(port) as client:
                        await client.publish("down", b"publish 1 again")
                        assert (await heard(client)).payload == b"again"
                        await board.until("published 1 True")
                    await running.kill()
                await board.until("delay")
            async with broker(port) as running:
                await running.until("running")
                await board.until("up")
                async with peer(port) as client:
                    await client.publish("down", b"stop")
                    counters = await board.counters()
        assert (counters["connects"], counters["lost"]) == (3, 2)

    asyncio.run(main())


def test_lost_puback_means_the_same_message_again_with_dup(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port, link={"puback_timeout_ms": 100}) as board:
            link = await server.link()
            link.tell(b"publish 1 word")
            first, second = await link.packet(), await link.packet()
            assert first[0] == 0x32
            assert second == bytes([0x3A]) + first[1:]
            link.send(b"\x40\x02\xff\xff")  # somebody else's
            link.send(mqtt_packets.puback(int.from_bytes(first[-6:-4], "big")))
            assert await board.until("published") == "1 True"
            link.tell(b"stop")
            assert await link.last() == mqtt_packets.DISCONNECT
            assert (await board.counters())["puback_timeouts"] >= 1

    asyncio.run(main())


def test_message_without_any_puback_is_given_up(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port, link={"puback_timeout_ms": 50}) as board:
            link = await server.link()
            link.tell(b"publish 1 word")
            packets = [await link.packet() for _ in range(3)]
            assert [packet[0] for packet in packets] == [0x32, 0x3A, 0x3A]
            assert await board.until("published") == "1 False"
            link.tell(b"publish 0 alive")
            assert (await link.packet())[-5:] == b"alive"
            link.tell(b"stop")
            counters = await board.counters()
            assert (counters["puback_timeouts"], counters["published"]) == (3, 1)

    asyncio.run(main())


def test_link_that_goes_before_the_puback_fails_the_publish_at_once(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port, link={"puback_timeout_ms": 3_600_000}) as board:
            link = await server.link()
            link.tell(b"publish 1 word")
            assert await link.packet()
            link.close()
            assert await board.until("published") == "1 False"
            (await server.link()).tell(b"stop")
            assert (await board.counters())["lost"] == 1

    asyncio.run(main())


def test_half_open_link_is_found_by_silence(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port, keepalive_s=1) as board:
            link = await server.link()
            assert await link.last() == mqtt_packets.PINGREQ
            (await server.link()).tell(b"stop")
            counters = await board.counters()
            assert (counters["timeouts"], counters["lost"], counters["connects"]) == (1, 1, 2)

    asyncio.run(main())


def test_half_open_link_is_found_while_a_publish_is_stuck_in_it(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port, keepalive_s=1) as board:
            link = await server.link()
            link.tell(b"flood 1000000")  # and nobody reads
            await board.until("flood failed")
            (await server.link()).tell(b"stop")
            counters = await board.counters()
            assert (counters["timeouts"], counters["lost"], counters["connects"]) == (1, 1, 2)

    asyncio.run(main())


def test_packets_never_interleave_on_a_slow_connection(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            link = await server.link()
            link.tell(b"flood 6000")
            await board.until("received down")
            wanted = {b"between %d" % number for number in range(8)}
            for number in range(8):
                link.send(mqtt_packets.publish("down", b"publish 0 between %d" % number, 7))
            numbers, others, acknowledged = [], set(), 0
            while len(numbers) < 6000 or others != wanted or acknowledged < 8:
                packet = await link.packet()
                if packet[0] == 0x40:
                    assert packet == mqtt_packets.puback(7)
                    acknowledged += 1
                elif len(packet) > 1024:
                    assert packet[:7] == b"\x30\x84\x08\x00\x02up"
                    numbers.append(int(packet[7:13]))
                else:
                    assert packet[0] == 0x30
                    others.add(packet[6:])
            assert numbers == list(range(6000))
            link.tell(b"stop")
            await board.counters()

    asyncio.run(main())


@pytest.mark.parametrize(
    "garbage", ["ffff", "30ffffffff7f", "34050001610001", "300400ff6161", "20020000", "9003000a01"]
)
def test_garbage_is_counted_and_ends_the_link(interpreter, garbage):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            link = await server.link()
            link.send(bytes.fromhex(garbage))
            assert await link.last() == b""
            (await server.link()).tell(b"stop")
            counters = await board.counters()
            assert (counters["malformed"], counters["lost"], counters["connects"]) == (1, 1, 2)

    asyncio.run(main())


@pytest.mark.parametrize("answer", ["ffff", "d000", "20020400", "9003000100"])
def test_garbage_in_place_of_connack_is_counted(interpreter, answer):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            (await server.connection()).send(bytes.fromhex(answer))
            (await server.link()).tell(b"stop")
            counters = await board.counters()
            assert (counters["malformed"], counters["failed"], counters["connects"]) == (1, 1, 1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("code", "name"), [*enumerate(["protocol", "client_id", "unavailable", "credentials"], 1), (255, "255")]
)
def test_refusal_is_counted_by_name(interpreter, code, name):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            (await server.connection()).send(b"\x20\x02\x00" + bytes([code]))
            (await server.link()).tell(b"stop")
            assert (await board.counters())["refused_" + name] == 1

    asyncio.run(main())


def test_connack_that_never_comes_is_a_timeout(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port, link={"connect_timeout_ms": 200}) as board:
            silent = await server.connection()
            assert (await silent.last())[0] == 0x10
            (await server.link()).tell(b"stop")
            counters = await board.counters()
            assert (counters["timeouts"], counters["failed"], counters["connects"]) == (1, 1, 1)

    asyncio.run(main())


def test_refused_subscription_is_counted_and_the_link_stays(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            link = await server.link(granted=b"\x80\x00")
            await board.until("up")
            link.tell(b"stop")
            counters = await board.counters()
            assert (counters["subscription_refused"], counters["subscription_downgraded"]) == (1, 1)
            assert counters["connects"] == 1

    asyncio.run(main())


def test_oversized_packet_is_dropped_and_acknowledged_and_the_link_stays(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            link = await server.link()
            link.send(mqtt_packets.publish("down", bytes(300_000), 77))
            assert await link.packet() == mqtt_packets.puback(77)
            link.send(mqtt_packets.publish("down", bytes(4096 - 8), 78))  # the largest that fits
            assert await link.packet() == mqtt_packets.puback(78)
            assert await board.until("received") == "down 4088"
            link.tell(b"stop")
            counters = await board.counters()
            assert (counters["oversized"], counters["received"], counters["connects"]) == (1, 2, 1)

    asyncio.run(main())


def test_truncated_packet_leaves_nothing_behind(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            for cut in (1, 3, 9):
                link = await server.link()
                link.send(mqtt_packets.publish("down", b"half a packet")[:cut])
                link.close()
            (await server.link()).tell(b"stop")
            counters = await board.counters()
            assert (counters["lost"], counters["malformed"], counters["received"]) == (3, 0, 1)

    asyncio.run(main())


def test_fault_of_a_callback_leaves_run(interpreter):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            link = await server.link()
            link.tell(b"fault")
            assert await board.until("fault") == "flash is full"
            assert await board.until("connected") == "False"
            assert await link.last() == b""
            await board.counters()

    asyncio.run(main())
