"""The device shell as it runs: a process of the real MicroPython against a real broker and a real intake."""

import asyncio
import struct

import nacl.signing
import pytest

from coordinator.ingest.receipts import sheets
from device_client.core import cose, verdicts
from device_client.core.client import enroll_topic
from device_client.core.outbox import Outbox
from device_client.core.secret import broker_password, token_login
from tests.firmware.link_parts import FIRMWARE, Server, mqtt_packets
from tests.firmware.shell_network import NAME, SOURCES_HEAP, Device, Network, done, served, shell

RECEIPTS = 20


def receipts(count):
    return lambda status: status["receipts"] >= count


def log_statements(path):
    """(boot, seq, id8) of every statement in an outbox log that was never compacted, in its order."""
    data, at, found = path.read_bytes(), 0, []
    while at + 7 <= len(data):
        length, kind = struct.unpack_from(">HB", data, at + 4)
        body = data[at + 7 : at + 7 + length]
        if kind == ord("S") and len(body) == length:
            found.append((*struct.unpack(">II", body[:8]), body[8:16]))
        at += 7 + length
    return found


def said(network):
    """(boot, seq, id8) of every statement that reached the coordinator."""
    assert not network.refused
    assert {outcome.code for outcome in network.outcomes} <= {verdicts.OK, verdicts.DUPLICATE}
    return {(outcome.row.boot, outcome.row.seq, outcome.row.id8) for outcome in network.outcomes}


def test_a_device_enrols_reports_and_goes_on_after_broker_and_power_failed(tmp_path):
    async def life():
        async with served(tmp_path) as (network, broker):
            provisioning = network.given(tmp_path / "state")
            async with Device(provisioning) as device:
                first = await device.status(receipts(RECEIPTS))
                assert first["enrolled"] and first["boot"] == 1 and not first["refused"]
                await broker.kill()
                await device.status(lambda status: not status["online"])
                await broker.start()
                again = await device.status(receipts(first["receipts"] + 5))
                await device.kill()
            seed = (tmp_path / "state/device.key").read_bytes()
            assert again["device"] == cose.signer_id(bytes(nacl.signing.SigningKey(seed).verify_key)).hex()
            async with Device(provisioning) as device:
                second = await device.status(receipts(5))
                assert await device.interrupted() == 0
                for secret in (seed, network.token.seed):
                    assert secret.hex() not in device.said and repr(secret) not in device.said
            assert (second["device"], second["boot"], second["enrolled"]) == (first["device"], 2, True)
            # Every boot is one chain without a gap, and no number was given twice.
            statements = said(network)
            for boot in (1, 2):
                seqs = sorted(seq for found, seq, _ in statements if found == boot)
                assert seqs == list(range(1, len(seqs) + 1))

    asyncio.run(life())
    assert (tmp_path / "state").stat().st_mode & 0o77 == 0


def test_the_sources_run_as_well(tmp_path):
    async def life():
        async with (
            served(tmp_path) as (network, _),
            Device(network.given(tmp_path / "state"), SOURCES_HEAP, FIRMWARE) as device,
        ):
            await device.status(receipts(2))
            assert await device.interrupted() == 0

    asyncio.run(life())


def test_what_was_sent_was_durable_before(tmp_path):
    rounds = 5

    async def kill_at_the_first_word(network, provisioning, more):
        heard = asyncio.Event()
        target = len(network.outcomes) + more
        network.heard = lambda count: heard.set() if count >= target else None
        async with Device(provisioning) as device:
            await asyncio.wait_for(heard.wait(), 20)
            await device.kill()

    async def life():
        async with served(tmp_path) as (network, _):
            provisioning = network.given(tmp_path / "state")
            for number in range(rounds):
                await kill_at_the_first_word(network, provisioning, number + 1)
                statements = log_statements(tmp_path / "state/outbox.log")
                assert said(network) <= set(statements)
                assert len({(boot, seq) for boot, seq, _ in statements}) == len(statements)
            assert {boot for boot, _, _ in statements} <= set(range(1, rounds + 1))

    asyncio.run(life())


@pytest.mark.parametrize("loss", ["log removed", "log damaged", "key removed"])
def test_a_lost_boot_counter_is_a_new_device(tmp_path, loss):
    state = tmp_path / "state"

    async def life():
        async with served(tmp_path) as (network, _):
            provisioning = network.given(state)
            async with Device(provisioning) as device:
                first = await device.status(receipts(2))
                await device.kill()
            log, key = state / "outbox.log", state / "device.key"
            seed = key.read_bytes()
            if loss == "log removed":
                log.unlink()
            elif loss == "log damaged":
                log.write_bytes(b"\xff" + log.read_bytes()[1:])
            else:
                key.unlink()
            async with Device(provisioning) as device:
                second = await device.status(receipts(2))
            assert second["device"] != first["device"] and (second["boot"], second["enrolled"]) == (1, True)
            said(network)
            assert (state / "device.key.lost-1").exists() == (loss != "key removed")
            assert (state / "outbox.log.lost-1").exists() == (loss != "log removed")
            if loss != "key removed":
                assert (state / "device.key.lost-1").read_bytes() == seed

    asyncio.run(life())


def test_credentials_subscriptions_and_the_last_word(tmp_path):
    async def life():
        async with Server() as server:
            network = Network(tmp_path, server.port)
            async with Device(network.given(tmp_path / "state")) as device:
                name = (await device.status())["device"]
                connection = await server.connection()
                connect = await connection.packet()
                password = broker_password(network.token.seed, bytes.fromhex(name))
                assert connect.endswith(
                    b"".join(struct.pack(">H", len(f)) + f.encode() for f in (name, name, password))
                )
                connection.send(b"\x20\x02\x00\x00")
                subscribe = await connection.packet()
                for topic in ("shell/keys", "shell/beacon", f"shell/{name[:2]}/{name}/down"):
                    assert f"edgetally/{topic}\x01".encode() in subscribe
                connection.send(b"\x90\x05" + subscribe[2:4] + b"\x01\x01\x01")
                await device.status(lambda status: status["online"])
                assert await device.interrupted() == 0
                assert await connection.last() == b"\xe0\x00"

    asyncio.run(life())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"port": 0}, "port is not accepted; it must be an integer from 1 to 65535"),
        ({"interval_s": None}, "interval_s is not accepted; it must be an integer from 1 to 86400"),
        ({"root_key": "00"}, "root_key is not accepted; it must be 64 hex digits"),
        ({"genesis": 7}, "genesis is not accepted; it must be 64 hex digits"),
        ({"genesis": "x" * 64}, "genesis is not accepted; it must be 64 hex digits"),
        ({"readings_public": 1}, "readings_public is not accepted; it must be true or false"),
    ],
)
def test_wrong_provisioning_is_one_line_and_code_2(tmp_path, changes, told):
    async def life():
        path = Network(tmp_path, 1).given(tmp_path / "state", **changes)
        async with Device(path) as device:
            assert await device.ended() == 2
        assert device.said == f"{path}: {told}\n"

    asyncio.run(life())


def test_incomplete_provisioning_and_unusable_state(tmp_path):
    async def life():
        missing = tmp_path / "missing.json"
        missing.write_text('{"network": "demo"}')
        async with Device(missing) as device:
            assert await device.ended() == 2
        assert device.said == f"{missing}: genesis is missing; it must be 64 hex digits\n"
        async with Device(tmp_path / "nothing.json") as device:
            assert await device.ended() == 2
        assert device.said.count("\n") == 1
        path = Network(tmp_path, 1).given(tmp_path / "state", state_dir="/proc/nowhere")
        async with Device(path) as device:
            assert await device.ended() == 1
        assert device.said.startswith("state_dir /proc/nowhere: ") and device.said.count("\n") == 1

    asyncio.run(life())


def test_the_network_of_these_tests_ends_when_it_is_told_to():
    async def life():
        published = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(done(asyncio.wait_for(published, 20)))
        await asyncio.sleep(0)
        published.set_result(None)  # the PUBACK and the end of the test come together
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(life())


def test_milliseconds_go_on_where_the_ticks_wrap():
    class Ticks:
        TICKS_PERIOD = 1 << 30
        now = (1 << 30) - 5

        def ticks_ms(self):
            return self.now

    ticks = Ticks()
    counter = shell.Counter(ticks)
    total_ms = 0
    for step_ms in (3, 4, 0, 500, 1 << 29, (1 << 30) - 1):
        ticks.now = (ticks.now + step_ms) % Ticks.TICKS_PERIOD
        total_ms += step_ms
        assert counter.now_ms() == total_ms


def test_the_outbox_is_held_where_it_is_when_the_heap_runs_low():
    class Memory:
        def __init__(self):
            self.data = bytearray()

        def size(self):
            return len(self.data)

        def read(self, at, length):
            return bytes(self.data[at : at + length])

        def append(self, data, durable):
            self.data += data

    outbox = Outbox(Memory(), 10)
    outbox.begin_boot()
    for seq in range(1, 4):
        outbox.add(seq, bytes(32), 2, b"message")
    outbox.limit(3)
    outbox.add(4, bytes(32), 2, b"message")
    assert [pending.seq for pending in outbox.pending] == [2, 3, 4]
    assert outbox.settled == {verdicts.DROPPED: 1}


def test_first_contact_says_nothing_but_the_enrolment(tmp_path):
    """A broker with a password file refuses the device; with the token's own credential it says one thing."""

    async def life():
        async with Server() as server:
            network = Network(tmp_path, server.port)
            async with Device(network.given(tmp_path / "state")) as device:
                name = (await device.status())["device"]
                connection = await server.connection()
                assert name.encode() in await connection.packet()
                connection.send(b"\x20\x02\x00\x05")  # not authorized (3.2.2.3)
                connection = await server.connection()
                token = network.token
                username, password = token_login(token.seed, token.public_key, bytes.fromhex(name))
                hello = await connection.packet()
                fields = (username, username, password)
                assert hello.endswith(b"".join(struct.pack(">H", len(f)) + f.encode() for f in fields))
                connection.send(b"\x20\x02\x00\x00")
                subscribe = await connection.packet()
                topic = enroll_topic(NAME, username)
                assert f"{topic}/down\x01".encode() in subscribe and f"{name}/down".encode() not in subscribe
                connection.send(b"\x90\x05" + subscribe[2:4] + b"\x01\x01\x01")
                for about, data in (("keys", network._keys), ("beacon", network.beat())):
                    connection.send(bytes(mqtt_packets.publish(f"edgetally/{NAME}/{about}", data)))
                said = await connection.packet()
                assert topic.encode() + b"/up" in said
                message = said[said.index(b"/up") + 3 :]
                intake = network.node.intake
                candidates = [intake.screen(message, bytes.fromhex(name))]
                outcomes = intake.commit(candidates, intake.verify(candidates))
                assert [outcome.code for outcome in outcomes] == [verdicts.OK]
                for sheet in sheets(
                    [o.row for o in outcomes], network.node.incarnation, intake.slot, network.node.signer
                ):
                    connection.send(bytes(mqtt_packets.publish(topic + "/down", sheet.data)))
                assert await connection.last() == b""  # nothing else, and the link is the device's own again
                connection = await server.connection()
                assert name.encode() in await connection.packet()

    asyncio.run(life())
