"""The link on both interpreters: against real brokers, and against a scripted server for what no broker does."""

import asyncio
import datetime
import json
import subprocess
import sys
from contextlib import asynccontextmanager

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.firmware.link_parts import HERE, PATIENCE_S, Program, Server, mqtt_packets, script
from tests.firmware.link_parts import link as module
from tests.firmware.link_time import Device
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


def certified(folder):
    """The folder, made, with a certificate of `localhost`, signed by itself, in PEM and DER, and its key."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, der, plain = serialization.Encoding.PEM, serialization.Encoding.DER, serialization.NoEncryption()
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "certificate.der").write_bytes(certificate.public_bytes(der))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder


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
        assert counters.get("refused_4", 0) + counters.get("refused_5", 0) == 3
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


def test_tls_checks_the_server_and_carries_messages(interpreter, tmp_path):
    mosquitto, settings = require_mosquitto(), tmp_path / "mosquitto.conf"
    own, stranger = certified(tmp_path / "own"), certified(tmp_path / "stranger")
    port, plain_port = free_port(), free_port()
    settings.write_text(
        f"user root\nallow_anonymous true\nlog_dest stderr\n"
        f"listener {plain_port} 127.0.0.1\n"
        f"listener {port} localhost\n"
        f"certfile {own}/certificate.pem\nkeyfile {own}/key.pem\n"
    )

    async def main():
        async with Program([mosquitto, "-c", str(settings)]) as running:
            await running.until("running")
            async with device(interpreter, port, tls=str(stranger / "certificate.der"), sessions_max=2) as board:
                counters = await board.counters()
                assert (counters["refused_certificate"], counters["failed"], counters["connects"]) == (2, 2, 0)
            board = device(interpreter, port, tls=str(own / "certificate.der"))
            async with peer(plain_port) as client, board:
                await board.until("up")
                await client.publish("down", b"publish 1 secret")
                assert (await heard(client)).payload == b"secret"
                await board.until("published 1 True")
                await client.publish("beacon", bytes(4000))
                await board.until("received beacon 4000")
                await client.publish("down", b"stop")
                assert (await board.counters())["published"] == 1

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
            assert await link.packet() == second
            link.send(mqtt_packets.puback(int.from_bytes(first[-6:-4], "big")))
            assert await board.until("published") == "1 True"
            link.tell(b"stop")
            assert await link.last() == mqtt_packets.DISCONNECT
            assert (await board.counters())["puback_timeouts"] >= 2

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
            await board.until("stuck")
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


@pytest.mark.parametrize("code", [1, 2, 3, 4, 255])
def test_refusal_is_counted_by_code(interpreter, code):
    async def main():
        async with Server() as server, device(interpreter, server.port) as board:
            (await server.connection()).send(b"\x20\x02\x00" + bytes([code]))
            (await server.link()).tell(b"stop")
            assert (await board.counters())[f"refused_{code}"] == 1

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


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_back_off_stays_below_the_doubled_base_and_the_cap(attempt, chance):
    for random in (module.random_below, chance.randrange, lambda limit: 0, lambda limit: limit - 1):
        assert 0 <= module.back_off_ms(attempt, random) < min(60_000, 1_000 * 2**attempt)


def test_back_off_doubles_while_there_is_no_link_and_stop_ends_it():
    async def main():
        async with Device(free_port()) as device:
            for limit in (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000):
                await device.clock.begun(limit - 1)
                assert device.limits_ms[-1] == limit
                assert not await device.link.publish("up", b"nobody there", 1)
                device.clock.advance(limit - 1)
        assert device.link.counters["failed"] >= 8

    asyncio.run(main())


def test_back_off_begins_anew_only_after_a_link_that_lasted():
    async def main():
        async with Server() as server, Device(server.port) as device:
            for lasting_ms, limit in ((0, 1_000), (0, 2_000), (30_000, 4_000), (60_000, 1_000), (0, 2_000)):
                connection = await server.link()
                await device.clock.begun(15_000)
                for _ in range(lasting_ms // 15_000):
                    device.clock.advance(15_000)
                    assert await connection.packet() == mqtt_packets.PINGREQ
                    connection.send(b"\xd0\x00")
                    await device.clock.begun(15_000)
                connection.close()
                await device.clock.begun(limit - 1)
                device.clock.advance(limit)

    asyncio.run(main())


def test_ping_goes_out_every_quarter_and_silence_ends_the_link_before_the_keepalive():
    async def main():
        async with Server() as server, Device(server.port) as device:
            connection = await server.link()
            await device.clock.begun(15_000)
            for answered in (True, True, False, False):
                device.clock.advance(15_000)
                assert await connection.packet() == mqtt_packets.PINGREQ
                if answered:
                    connection.send(b"\xd0\x00" + mqtt_packets.publish("down", b"", 9))
                    assert await connection.packet() == mqtt_packets.puback(9)  # so it has seen the answer, too
                await device.clock.begun(15_000)
            device.clock.advance(15_000)
            assert await connection.packet() == b""
            assert device.link.counters["timeouts"] == device.link.counters["lost"] == 1

    asyncio.run(main())


def test_device_that_only_sends_pings_too():
    async def main():
        async with Server() as server, Device(server.port) as device:
            connection = await server.link()
            for _ in range(6):
                await device.clock.begun(15_000)
                device.clock.advance(14_000)
                assert await device.link.publish("up", b"x")
                assert (await connection.packet())[0] == 0x30
                device.clock.advance(1_000)
                assert await connection.packet() == mqtt_packets.PINGREQ
                connection.send(b"\xd0\x00" + mqtt_packets.publish("down", b"", 9))
                assert await connection.packet() == mqtt_packets.puback(9)
            assert device.link.connected

    asyncio.run(main())


def test_publish_is_bounded_and_needs_a_link():
    async def main():
        async with Server() as server:
            device = Device(server.port)
            assert not await device.link.publish("up", b"too early")
            async with device:
                connection = await server.link()
                await device.up.wait()
                assert await device.link.publish("up", bytes(1024))
                assert len(await connection.packet()) == 3 + 4 + 1024
                for qos in (0, 1):
                    with pytest.raises(ValueError, match="message_bytes_max"):
                        await device.link.publish("up", bytes(1025), qos)
            assert await connection.packet() == mqtt_packets.DISCONNECT
            assert await connection.packet() == b""
            assert not await device.link.publish("up", b"too late", 1)

    asyncio.run(main())


def test_link_without_subscriptions_is_up_on_connack():
    async def main():
        async with Server() as server, Device(server.port, subscriptions=()) as device:
            connection = await server.connection()
            await connection.packet()
            connection.send(b"\x20\x02\x00\x00")
            await asyncio.wait_for(device.up.wait(), PATIENCE_S)
            assert device.link.connected

    asyncio.run(main())


def test_publish_that_its_owner_cancels_half_way_takes_the_link_down():
    async def main():
        async with Server() as server, Device(server.port) as device:
            await server.link()  # and nobody reads
            await device.up.wait()
            sending = asyncio.create_task(flood(device.link))
            await asyncio.sleep(0)  # it runs until the socket is full
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await device.clock.begun(999)
            assert device.link.counters["lost"] == 1

    async def flood(one):
        while await one.publish("up", bytes(1024)):
            pass

    asyncio.run(main())
