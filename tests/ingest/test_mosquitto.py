"""A real mosquitto as the coordinator's child: a fleet's life on it, its death, and what devices may not do."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from coordinator.brokers import Managed
from coordinator.ingest import mosquitto
from coordinator.ingest.credentials import hashed
from coordinator.ingest.mosquitto import BrokerFailed
from coordinator.logins import service_login
from coordinator.service import Service, running
from coordinator.settings import BrokerSettings
from device_client import runner
from device_client.core import verdicts
from device_client.core.client import base_topic, enroll_topic
from device_client.core.pending import Pending
from device_client.core.secret import token_login
from device_client.fleet import fleet
from device_client.runner import Runner
from tests.e2e.published import times_counted
from tests.e2e.running import Net
from tests.parts import free_port, require_mosquitto, taken

from .hand import Hand

PATIENCE_S = 15.0


async def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_S:g} s for {what}") from None


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Net:
    require_mosquitto()
    monkeypatch.setattr(runner, "BACKOFF_CAP_S", 0.5)
    return Net(tmp_path / "net", kind="mosquitto")


def managed(service: Service) -> Managed:
    assert isinstance(service.broker, Managed)
    return service.broker


def watched(devices: list[Runner]) -> set[tuple[bytes, int, int, bytes]]:
    """What receipts promise from now on."""
    promised: set[tuple[bytes, int, int, bytes]] = set()
    for device in devices:
        outbox, settle = device.client.outbox, device.client.outbox.settle

        def settled(pending: Pending, code: int, device: Runner = device, settle: Any = settle) -> None:
            if code == verdicts.OK:
                promised.add((device.client.device_id, pending.boot, pending.seq, pending.id8))
            settle(pending, code)

        outbox.settle = settled  # type: ignore[method-assign]
    return promised


def receipts(device: Runner) -> int:
    return device.client.counters.get("receipts_verified", 0)


def test_a_fleet_lives_on_it_and_survives_its_death(net: Net, tmp_path: Path) -> None:
    """One token for several devices; then kill -9 of mosquitto; then a token made while all runs."""

    async def scenario() -> tuple[set[tuple[bytes, int, int, bytes]], int]:
        token = net.token(8)
        devices = fleet([net.given(token)] * 8, tmp_path / "fleet", 1, 300)
        promised = watched(devices)
        async with running(net.settings, net.folder) as service, asyncio.TaskGroup() as tasks:
            running_devices = [tasks.create_task(device.run()) for device in devices]
            await until(lambda: all(receipts(device) >= 3 for device in devices), "enrolments and reports")
            child = managed(service).mosquitto
            before = [receipts(device) for device in devices]
            dead = child.pid
            os.kill(dead, signal.SIGKILL)
            await until(lambda: child.restarts == 1 and child.pid != dead, "another mosquitto")
            await until(
                lambda: all(receipts(one) >= old + 2 for one, old in zip(devices, before, strict=True)), "the fleet"
            )
            newcomer = fleet([net.given(net.token(1))], tmp_path / "newcomer", 1, 0)[0]
            promised_later = watched([newcomer])
            running_devices.append(tasks.create_task(newcomer.run()))
            await until(lambda: receipts(newcomer) >= 2, "the newcomer")
            for task in running_devices:
                task.cancel()
            service.stop()
            await service.idle()
            for _ in range(2):
                await service.beacon()
            await service.seal()
            assert child.reloads >= 2
            pid = child.pid
        return promised | promised_later, pid

    promised, pid = asyncio.run(scenario())
    assert not Path(f"/proc/{pid}").exists()
    counted = times_counted(net.home)
    assert len({said[0] for said in promised}) == 9
    assert all(counted[said] == 1 for said in promised)
    assert set(counted.values()) == {1}
    net.audit()


def test_one_that_hangs_at_its_start_is_replaced(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "mosquitto"
    told = tmp_path / "told"
    hanging.write_text(f"#!/bin/sh\ntrap 'echo >{told}' HUP\nwhile :; do sleep 0.05; done\n")
    hanging.chmod(0o700)
    searched = mosquitto.SEARCHED

    async def scenario() -> int:
        async with running(net.settings, net.folder) as service:
            child = managed(service).mosquitto
            await service.link.connected.wait()
            monkeypatch.setattr(mosquitto, "SEARCHED", f"{tmp_path}:/bin:/usr/bin")
            monkeypatch.setattr(mosquitto, "START_S", 0.3)
            first = child.pid
            os.kill(first, signal.SIGKILL)
            await until(lambda: child.pid != first, "the one that hangs")
            child.admit([("somebody", "new")])
            await until(lambda: child.restarts == 2, "the one that hangs to be given up")
            assert not told.exists(), "a signal before it listens would end it"
            monkeypatch.setattr(mosquitto, "SEARCHED", searched)
            monkeypatch.setattr(mosquitto, "START_S", 10.0)
            await until(service.link.connected.is_set, "another one")
            return child.pid

    pid = asyncio.run(scenario())
    assert not Path(f"/proc/{pid}").exists()


def test_what_a_device_may_not_do(net: Net) -> None:
    """Wrong credentials, foreign topics, wildcards, beacons, a token's login for anything but enrolling, size."""

    async def scenario() -> None:
        token = net.token(10)
        async with running(net.settings, net.folder) as service:
            await service.link.connected.wait()
            await until(lambda: service.node.beacons.envelopes, "a beacon")
            honest, thief = Hand(net.given(token)), Hand(net.given(token))
            beacon = service.node.beacons.envelopes[-1]
            for hand in (honest, thief):
                answer = await service.ingest.submit(hand.enrol(beacon))
                assert answer.code == verdicts.OK
            await until(lambda: managed(service).mosquitto.reloads >= 1, "the reload")
            refuse = service.node.counts.reasons

            for wrong in (
                {"username": None, "password": None},
                {"password": "0" * 64},
                {"username": thief.id.hex()},
                {"username": "coordinator"},
                {"username": os.urandom(16).hex()},
            ):
                with pytest.raises(aiomqtt.MqttError):
                    async with honest.connected(**wrong):
                        raise AssertionError(f"let in with {wrong}")
            await until(lambda: refuse[verdicts.BAD_CREDENTIALS] >= 5, "the count of the refused")
            assert refuse[verdicts.BAD_CREDENTIALS] == 5

            async with connected_soon(honest) as one, connected_soon(thief, identifier=honest.id.hex()) as other:
                # The client id is the user name, whatever is asked for: nobody ends another's connection.
                base, own = base_topic("test", honest.id), base_topic("test", thief.id)
                await one.subscribe(base + "/down")
                for topic in ("#", "edgetally/test/+/+/+", base + "/down", base + "/up", "$SYS/#", own + "/down"):
                    await other.subscribe(topic)
                seen: list[str] = []

                async def listen() -> None:
                    async for message in other.messages:
                        seen.append(message.topic.value)

                listening = asyncio.create_task(listen())
                before = refuse[verdicts.WRONG_TOPIC], refuse[verdicts.OK]
                for topic in (base + "/up", base + "/down", "edgetally/test/beacon", "edgetally/test/keys", "x"):
                    await other.publish(topic, thief.report(beacon), qos=1, retain=True)
                thief.seq, thief.last_id = 1, b""
                newest = service.node.beacons.newest
                await one.publish(honest.up, honest.report(beacon), qos=1)
                message = await asyncio.wait_for(anext(aiter(one.messages)), PATIENCE_S)
                assert message.topic.value == base + "/down"
                await until(lambda: service.node.beacons.newest > newest + 1, "two beacons")
                await until(lambda: seen.count("edgetally/test/beacon") >= 2, "beacons at the thief")
                listening.cancel()
                assert set(seen) <= {"edgetally/test/beacon", "edgetally/test/keys", own + "/down"}
                assert (refuse[verdicts.WRONG_TOPIC], refuse[verdicts.OK]) == (before[0], before[1] + 1)

                await one.publish(honest.up, bytes(9000), qos=0)
                with pytest.raises(aiomqtt.MqttError):
                    await asyncio.wait_for(anext(aiter(one.messages)), PATIENCE_S)

            username, password = token_login(token.seed, token.public_key, thief.id)
            first = {"username": username, "password": password, "identifier": username}
            async with thief.connected(**first) as knocking:
                topic = enroll_topic("test", username)
                await knocking.publish(thief.up, thief.report(beacon), qos=1)
                before = refuse[verdicts.WRONG_TOPIC], refuse[verdicts.OK]
                await knocking.publish(topic + "/up", thief.report(beacon), qos=1)
                await until(lambda: refuse[verdicts.WRONG_TOPIC] == before[0] + 1, "the refusal of a report")
                await knocking.subscribe(topic + "/down")
                fresh = Hand(net.given(token))
                await knocking.publish(topic + "/up", fresh.enrol(beacon), qos=1)
                message = await asyncio.wait_for(anext(aiter(knocking.messages)), PATIENCE_S)
                assert message.topic.value == topic + "/down"
                assert refuse[verdicts.OK] == before[1] + 1
            async with connected_soon(fresh):
                pass

    asyncio.run(scenario())


@asynccontextmanager
async def connected_soon(hand: Hand, **changes: Any) -> AsyncIterator[aiomqtt.Client]:
    """As soon as mosquitto has read the credentials."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with hand.connected(**changes):
                    break
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)
    async with hand.connected(**changes) as client:
        yield client


def test_a_mosquitto_that_was_left_behind_is_ended(net: Net) -> None:
    """As kill -9 of the coordinator leaves it; a process that only has its number stays."""

    async def left_behind() -> int:
        async with running(net.settings, net.folder) as service:
            pid = managed(service).mosquitto.pid
            text = (net.home.mosquitto / "pid").read_text()
            assert int(text) == pid
            assert oct(net.home.mosquitto.stat().st_mode & 0o777) == "0o700"
            assert all(path.stat().st_mode & 0o077 == 0 for path in net.home.mosquitto.glob("passwords"))
            return pid

    asyncio.run(left_behind())
    conf = net.home.mosquitto / "mosquitto.conf"
    orphan = subprocess.Popen([require_mosquitto(), "-c", str(conf)], stderr=subprocess.DEVNULL)
    asyncio.run(left_behind())
    assert orphan.wait(PATIENCE_S) is not None
    (net.home.mosquitto / "pid").write_text(str(os.getpid()))
    asyncio.run(left_behind())


def test_it_starts_with_whom_it_knew_and_then_learns_the_rest(net: Net) -> None:
    """What the file has lost is written again while it serves; but nobody of a token that is gone gets in."""
    kept, gone = net.token(1), net.token(1)
    hands = [Hand(net.given(token)) for token in (kept, gone)]
    passwords = net.home.mosquitto / "passwords"

    def known() -> list[bool]:
        return [hand.id.hex() in passwords.read_text() for hand in hands]

    async def enrol() -> None:
        async with running(net.settings, net.folder) as service:
            await until(lambda: service.node.beacons.envelopes, "a beacon")
            for hand in hands:
                answer = await service.ingest.submit(hand.enrol(service.node.beacons.envelopes[-1]))
                assert answer.code == verdicts.OK
            await until(lambda: known() == [True, True], "both")
        passwords.write_text("".join(line for line in passwords.open() if not line.startswith(hands[0].id.hex())))

    async def lost() -> None:
        async with running(net.settings, net.folder) as service, asyncio.timeout(PATIENCE_S):
            assert known() == [False, True], "the file of the last time"
            async with connected_soon(hands[0]), connected_soon(hands[1]):
                assert managed(service).mosquitto.reloads == 1

    async def removed() -> None:
        (net.home.tokens / f"{gone.public_key.hex()}.json").unlink()
        async with running(net.settings, net.folder):
            assert known() == [True, False]
            async with hands[0].connected():
                pass
            with pytest.raises(aiomqtt.MqttError):
                async with hands[1].connected():
                    raise AssertionError("let in without a token")

    for scenario in (enrol, lost, removed):
        asyncio.run(scenario())


def test_reloads_take_a_bounded_share_of_its_time(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with running(net.settings, net.folder) as service:
            child = managed(service).mosquitto
            assert child.reload_pause_s == mosquitto.RELOAD_S
            child._reading_s_per_byte = 0.5 / child._passwords.size_bytes
            assert child.reload_pause_s == pytest.approx(10)
            child._reading_s_per_byte *= 100
            assert child.reload_pause_s == mosquitto.RELOAD_MAX_S

    asyncio.run(scenario())


def test_it_says_why_it_cannot_start(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        async with running(net.settings, net.folder):
            raise AssertionError("started")

    with taken(net.mqtt_port), pytest.raises(BrokerFailed, match="Address already in use"):
        asyncio.run(start())
    monkeypatch.setattr(mosquitto, "SEARCHED", "/nowhere")
    with pytest.raises(BrokerFailed, match="apt-get install mosquitto"):
        asyncio.run(start())


def test_an_external_broker(net: Net, tmp_path: Path) -> None:
    """A mosquitto of somebody else's, without TLS and with accounts of its own: the coordinator only connects."""
    port, other = free_port(), tmp_path / "other"
    other.mkdir()
    (other / "coordinator.password").write_text("hush\n")
    (other / "passwords").write_text(hashed("us", "hush"))
    lines = [f"listener {port} 127.0.0.1", f"password_file {other / 'passwords'}", "allow_anonymous false"]
    (other / "conf").write_text("\n".join([*lines, "user root", ""]))
    broker = BrokerSettings(
        kind="external",
        url=f"mqtt://127.0.0.1:{port}",
        username="us",
        password_file=str(other / "coordinator.password"),
    )
    settings = net.settings.model_copy(update={"broker": broker})

    async def scenario() -> None:
        async with running(settings, net.folder) as service:
            await asyncio.wait_for(service.link.connected.wait(), PATIENCE_S)
            login = {"username": "us", "password": "hush"}
            async with aiomqtt.Client("127.0.0.1", port, **login) as client:
                await client.subscribe("edgetally/test/beacon")
                await asyncio.wait_for(anext(aiter(client.messages)), PATIENCE_S)

    child = subprocess.Popen([require_mosquitto(), "-c", str(other / "conf")], stderr=subprocess.DEVNULL)
    try:
        asyncio.run(scenario())
    finally:
        child.terminate()
        child.wait(PATIENCE_S)


def test_tls(net: Net) -> None:
    """The coordinator believes exactly the listener's certificate, and who speaks no TLS gets nowhere."""
    for name in ("broker", "other"):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", net.folder / f"{name}.key", "-out", net.folder / f"{name}.crt"]
        subprocess.run([*command, *files, "-subj", "/CN=broker.example"], check=True, capture_output=True)
    broker = net.settings.broker.model_copy(update={"certfile": "broker.crt", "keyfile": "broker.key"})
    settings = net.settings.model_copy(update={"broker": broker})

    async def scenario() -> None:
        async with running(settings, net.folder) as service:
            await asyncio.wait_for(service.link.connected.wait(), PATIENCE_S)
            assert service.node.beacons.envelopes or await until(lambda: service.node.beacons.envelopes, "a beacon")
            with pytest.raises(aiomqtt.MqttError):
                async with Hand(net.given(net.token())).connected(timeout=2):
                    raise AssertionError("connected without TLS")
            wrong = service_login(broker.model_copy(update={"certfile": "other.crt"}), b"", "doctor", net.folder)
            with pytest.raises(aiomqtt.MqttError):
                async with wrong.client("doctor"):
                    raise AssertionError("believed another certificate")

    asyncio.run(scenario())
