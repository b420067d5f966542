"""The asyncio shell around the core: a connection, a clock of milliseconds, a sensor, and nothing of the rules."""

import asyncio
import contextlib
import os
import random
import ssl
import time
from collections.abc import Callable

import aiomqtt
import nacl.signing
from aiomqtt.exceptions import MqttConnectError
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from .core import asking, cose, notices, statement
from .core.client import Client, Config, enroll_topic
from .core.outbox import Outbox
from .core.secret import broker_password, token_login
from .mqtt_connection import MqttConnection
from .provisioning import Provisioning
from .sensors import Sensor

BACKOFF_BASE_S = 1.0
BACKOFF_CAP_S = 60.0
TICK_S = 0.5
DOWN_QUEUE_MAX = 1000
NOT_AUTHORIZED = (4, 5, 134, 135)  # CONNACK: bad user name or password, not authorized; MQTT 3.1.1 and 5
FIRST_CONTACT_S = 10.0
# X509_V_ERR_... of OpenSSL's x509_vfy.h; all others mean that nobody vouches for it whom we believe.
CERTIFICATE_TROUBLE = {
    9: notices.NOT_YET_VALID,
    10: notices.EXPIRED,
    62: notices.WRONG_HOST,
    64: notices.WRONG_HOST,
}
SETTLE_S = 1.5  # a broker with a password file takes up new credentials once a second


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519 by libsodium."""
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        return False
    return True


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def make_client(
    given: Provisioning,
    key: nacl.signing.SigningKey,
    outbox: Outbox,
    sensor: Sensor,
    interval_s: int,
    readings_public: bool = True,
    retry_ms: int = 5_000,
    spread_ms: int = 0,
    attempts_max: int = 20,
    device_id: bytes = b"",
    place: int = 0,
) -> Client:
    """The core's client for one identity and sensor. `spread_ms` spreads a fleet's reports behind each beacon, `place`
    is a coarse cell or 0."""
    token = nacl.signing.SigningKey(given.token_seed)
    public_key = bytes(key.verify_key)
    config = Config(
        network=given.network,
        genesis=given.genesis,
        root_key=given.root_key,
        public_key=public_key,
        token_key=bytes(token.verify_key),
        token_signature=token.sign(statement.token_message(given.genesis, public_key)).signature,
        interval_s=interval_s,
        beacon_interval_s=given.beacon_interval_s,
        channels=[list(channel) for channel in sensor.channels],
        readings_public=readings_public,
        place=place,
        retry_ms=retry_ms,
        spread_ms=spread_ms,
        attempts_max=attempts_max,
        calendar=given.calendar,
        device_id=device_id,
    )
    return Client(config, outbox, lambda message: key.sign(message).signature, verify, os.urandom, now_ms())


def tls_context(given: Provisioning) -> ssl.SSLContext | None:
    """The broker must have its name, and a certificate under the pinned CA; without one, under any of the system."""
    if not given.tls:
        return None
    context = ssl.create_default_context(cadata=given.ca or None)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what is pinned need not be the root
    return context


def refused_certificate(error: BaseException) -> int:
    """One of `notices.CERTIFICATE_REFUSED` if the broker's certificate was not believed, else 0."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__ or next(iter(_nested(cause)), None)
    return CERTIFICATE_TROUBLE.get(cause.verify_code, notices.WRONG_CA) if cause is not None else 0


def _nested(error: BaseException) -> list[BaseException]:
    """What aiomqtt raises holds its cause as an argument, too."""
    return [argument for argument in error.args if isinstance(argument, BaseException)]


def pause_s(attempt: int) -> float:
    """Before the connection after `attempt` failures: full jitter, so that a fleet does not come back as a herd."""
    return random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(attempt, 10)))  # noqa: S311


def _is_refusal(error: BaseException) -> bool:
    """Whether the broker answered, and does not know these credentials."""
    code = error.rc if isinstance(error, MqttConnectError) else None
    return getattr(code, "value", code) in NOT_AUTHORIZED


def _end_if_cancelled() -> None:
    """`wait_for` of Python 3.11, inside aiomqtt, forgets a cancellation that comes together with its result."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Runner:
    """Runs one client against a broker until cancelled; reconnects with full-jitter back-off."""

    def __init__(
        self, given: Provisioning, client: Client, sensor: Sensor, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.client = client
        self._given = given
        self._sensor = sensor
        self._changed = changed
        self._wake = asyncio.Event()
        self._measuring = asyncio.Lock()
        self._attempt = 0
        self._tls = tls_context(given)
        self.online = False
        self.last_sent = b""

    async def run(self) -> None:
        pump: asyncio.Task[None] = asyncio.create_task(self._measure_offline(), name="offline")
        try:
            while True:
                is_refused, settle_s = False, 0.0
                try:
                    await self._session()
                except* aiomqtt.MqttError as errors:
                    self._attempt += 1
                    is_refused = errors.subgroup(_is_refusal) is not None
                    self._tell_certificate(errors)
                self._offline()
                _end_if_cancelled()
                if is_refused and self.client.may_enroll(now_ms()):
                    settle_s = await self._first_contact()
                _end_if_cancelled()
                await asyncio.sleep(settle_s + pause_s(self._attempt))
        finally:
            self._offline()
            pump.cancel()

    def _tell_certificate(self, errors: BaseExceptionGroup[aiomqtt.MqttError]) -> None:
        for error in errors.exceptions:
            if code := refused_certificate(error):
                self.client.count("refused_certificate")
                self.client.notice(notices.CERTIFICATE_REFUSED, code)

    def _offline(self) -> None:
        self.online = False
        self.client.disconnected()

    async def _measure_offline(self) -> None:
        """Without a link the readings go on into the outbox."""
        while True:
            await asyncio.sleep(TICK_S)
            if not self.online:
                await self._step()

    def _connection(self, username: str, password: str) -> aiomqtt.Client:
        return MqttConnection(
            self._given.host,
            self._given.port,
            username=username,
            password=password,
            identifier=username,
            max_queued_incoming_messages=DOWN_QUEUE_MAX,
            tls_context=self._tls,
        )

    async def _session(self) -> None:
        client = self.client
        password = broker_password(self._given.token_seed, client.device_id)
        connection = self._connection(client.device_id.hex(), password)
        async with connection:
            await connection.subscribe([(topic, 1) for topic in (client.keys_topic, client.down_topic)])
            await connection.subscribe(client.beacon_topic, qos=1)
            _end_if_cancelled()
            client.linked(now_ms())
            self.online = True
            self._attempt = 0
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send(connection), name="send")
                await self._read(connection)
                sender.cancel()

    # FIRST CONTACT

    async def _first_contact(self) -> float:
        """The broker does not know this device: enrol with the token's own credential, which can do nothing else.
        Returns the seconds that it takes the broker to know the device."""
        token_key = self.client.config.token_key
        username, password = token_login(self._given.token_seed, token_key, self.client.device_id)
        topic = enroll_topic(self._given.network, username)
        connection = self._connection(username, password)
        try:
            async with asyncio.timeout(FIRST_CONTACT_S), connection:
                _end_if_cancelled()
                await connection.subscribe([(each, 1) for each in (self.client.keys_topic, topic + "/down")])
                await connection.subscribe(self.client.beacon_topic, qos=1)
                return await self._enrol(connection, topic)
        except (aiomqtt.MqttError, TimeoutError):
            return 0.0

    async def _enrol(self, connection: aiomqtt.Client, topic: str) -> float:
        sent = b""
        client = self.client
        async for message in connection.messages:
            name = message.topic.value
            before = client.counters.get("receipts_verified", 0)
            if isinstance(message.payload, bytes):
                client.received(client.down_topic if name == topic + "/down" else name, message.payload, now_ms())
                self._changed()
            if client.counters.get("receipts_verified", 0) > before:
                self._attempt = 0
                return SETTLE_S
            enrolment = client.first_contact(now_ms())
            if enrolment and enrolment != sent:
                await connection.publish(topic + "/up", enrolment, qos=0)
                self.last_sent = sent = enrolment
        return 0.0

    async def _read(self, connection: aiomqtt.Client) -> None:
        async for message in connection.messages:
            if isinstance(message.payload, bytes):
                self.client.received(message.topic.value, message.payload, now_ms())
                self._changed()
                self._wake.set()

    async def _send(self, connection: aiomqtt.Client) -> None:
        while True:
            for topic, payload in await self._step():
                await connection.publish(topic, payload, qos=0)
                _end_if_cancelled()
                if payload[0] not in (cose.TAG_SIGN1[0], asking.QUESTION_TAG):
                    self.last_sent = payload  # a statement
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):  # where `wait_for` would forget a cancellation
                    await self._wake.wait()

    async def _step(self) -> list[tuple[str, bytes]]:
        """As `advance`; a sensor that takes seconds to answer does not hold up the link meanwhile."""
        if not self._sensor.is_slow:
            return self.advance(now_ms())
        async with self._measuring:
            due = self.client.sample_due(now_ms())
            values = await asyncio.to_thread(self._reading) if due else None
            now = now_ms()
            if values is not None:
                self.client.sample(values, now)
            return self.client.tick(now)

    def advance(self, now: int) -> list[tuple[str, bytes]]:
        """Sample and tick; the messages to send now."""
        if self.client.sample_due(now):
            values = self._reading()
            if values is not None:
                self.client.sample(values, now)
        return self.client.tick(now)

    def _reading(self) -> list[int] | None:
        try:
            return self._sensor.read()
        except OSError:
            self.client.counters["sensor_failed"] = self.client.counters.get("sensor_failed", 0) + 1
            return None
