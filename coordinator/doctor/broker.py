"""The broker, tried as the coordinator, as a device and as a stranger would."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt

from coordinator.brokers import PROBE, external_login, service_login
from coordinator.found import load_tokens
from coordinator.ingest.access import DOCTOR, load_secret
from coordinator.ingest.mosquitto import SEARCHED
from coordinator.ingest.transport import Login
from device_client.core.client import base_topic
from device_client.core.secret import broker_password

from .checks import FAIL, OK, WARN, Check, Patient

ANSWER_S = 5.0
ROUND_TRIP_WARN_MS = 250.0
UNKNOWN = "unknown version"


async def broker_checks(patient: Patient, is_running: bool) -> AsyncIterator[Check]:
    kind = patient.settings.broker.kind
    if kind == "mosquitto" and shutil.which("mosquitto", path=SEARCHED) is None:
        todo = 'apt-get install mosquitto, or set broker.kind = "embedded"'
        yield Check("broker", FAIL, "mosquitto, which is not installed", todo)
        return
    yield Check("broker", OK, f"{kind}, {await _version(kind)}".removesuffix(", "))
    if kind != "external" and not is_running:
        yield Check("broker_login", WARN, "not tried: the coordinator does not run", "start it: edgetally up")
        return
    try:
        login, secret = _login(patient)
    except OSError as error:
        yield Check("broker_login", FAIL, f"{error.filename}: {error.strerror}", "make it readable for this user")
        return
    async for check in tried(patient, login, secret):
        yield check


async def tried(patient: Patient, login: Login, secret: bytes) -> AsyncIterator[Check]:
    """Log in, send and receive; then what must not work."""
    where = f"{login.host}:{login.port}"
    try:
        async with _connected(login, login.username) as client:
            yield Check("broker_login", OK, f"{where} lets us in")
            yield await round_trip(client, patient)
            yield await anonymous(login)
            yield await foreign_down(client, patient, login, secret)
    except (aiomqtt.MqttError, TimeoutError, OSError) as error:
        yield Check("broker_login", FAIL, f"{where}: {_said(error)}", _todo(patient))


async def round_trip(client: aiomqtt.Client, patient: Patient) -> Check:
    topic = f"edgetally/{patient.genesis.name}/doctor"
    mark = os.urandom(8)
    try:
        await client.subscribe(topic)
        started = time.perf_counter()
        await client.publish(topic, mark)
        async with asyncio.timeout(ANSWER_S):
            async for message in client.messages:
                if message.payload == mark:
                    break
    except (aiomqtt.MqttError, TimeoutError) as error:
        todo = f"allow the coordinator's account to publish and subscribe below edgetally/{patient.genesis.name}/"
        return Check("broker_round_trip", FAIL, f"a message does not come back: {_said(error)}", todo)
    took_ms = (time.perf_counter() - started) * 1000
    level = WARN if took_ms > ROUND_TRIP_WARN_MS else OK
    todo = "" if level == OK else "the broker is busy or far away; for many devices use mosquitto"
    return Check("broker_round_trip", level, f"{took_ms:.1f} ms from publish to receive", todo)


async def anonymous(login: Login) -> Check:
    try:
        async with _connected(login._replace(username="", password=""), f"stranger-{os.urandom(4).hex()}"):
            todo = "allow_anonymous false in the broker's configuration: strangers can read and send as any device"
            return Check("broker_anonymous", FAIL, "lets in anybody without a password", todo)
    except (aiomqtt.MqttError, TimeoutError):
        return Check("broker_anonymous", OK, "refuses who has no password")


async def foreign_down(client: aiomqtt.Client, patient: Patient, login: Login, secret: bytes) -> Check:
    """A device subscribes to everything: only what is for it may arrive. Its own message is sent last."""
    name = "broker_foreign_down"
    device = login._replace(username=PROBE.hex(), password=broker_password(secret, PROBE))
    network, mark = patient.genesis.name, os.urandom(8)
    own, other = (base_topic(network, one) + "/down" for one in (PROBE, os.urandom(16)))
    todo = "restrict devices by ACL to their own topics, see docs/guides/operate.md"
    try:
        async with _connected(device, PROBE.hex()) as probe:
            for topic in (other, f"edgetally/{network}/#", own):
                try:
                    await probe.subscribe(topic)
                except aiomqtt.MqttError:
                    if topic == own:
                        raise
            await client.publish(other, mark, qos=1)
            await client.publish(own, mark, qos=1)
            async with asyncio.timeout(ANSWER_S):
                async for message in probe.messages:
                    if message.payload == mark:
                        if message.topic.value == own:
                            return Check(name, OK, "a device gets only its own receipts")
                        return Check(name, FAIL, "a device can read the receipts of another", todo)
    except (aiomqtt.MqttError, TimeoutError) as error:
        found = f"not tried: no device of ours is let in ({_said(error)})"
        if patient.settings.broker.kind == "external":
            return Check(name, WARN, found, "see that your broker's ACL gives a device its own topics only")
        return Check(name, FAIL, found, "restart the coordinator")
    return Check(name, FAIL, "a device's own receipts do not reach it", todo)


def _login(patient: Patient) -> tuple[Login, bytes]:
    """How to log in, and the seed for a device's password. Raises OSError."""
    settings = patient.settings.broker
    if settings.kind == "external":
        seeds = [token.seed for token in load_tokens(patient.home)]
        return external_login(settings, patient.base), seeds[-1] if seeds else bytes(32)
    secret = load_secret(patient.home.broker_secret)
    return service_login(settings, secret, DOCTOR, patient.base), secret


async def _version(kind: str) -> str:
    if kind == "embedded":
        from importlib.metadata import version

        return f"amqtt {version('amqtt')} in the coordinator's process"
    if kind == "external":
        return ""
    found = shutil.which("mosquitto", path=SEARCHED)
    assert found is not None
    process = await asyncio.create_subprocess_exec(
        found, "-h", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    first = out.decode(errors="replace").partition("\n")[0].strip()
    return f"{first or UNKNOWN}, a child of the coordinator ({found})"


@asynccontextmanager
async def _connected(login: Login, identifier: str) -> AsyncIterator[aiomqtt.Client]:
    async with login.client(identifier, timeout=ANSWER_S) as client:
        yield client


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or "no answer"


def _todo(patient: Patient) -> str:
    if patient.settings.broker.kind == "external":
        return "see broker.url, broker.username and broker.password_file in network.toml, and whether it runs"
    return "see the coordinator's log for broker_died, or restart it"
