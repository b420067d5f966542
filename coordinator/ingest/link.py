"""The coordinator's own connection to the broker: subscribes to every `up`, publishes beacons, keys and receipts."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

import aiomqtt

from device_client.core.client import base_topic

from .access import COORDINATOR, enrolling_token, topic_device
from .first_contact import FirstContacts
from .receipts import SignedSheet

QUEUE_MAX = 10_000
RECONNECT_S = 1.0


class Login(NamedTuple):
    """Where a broker is and what the coordinator shows it. An empty user name shows nothing."""

    host: str
    port: int
    username: str = COORDINATOR
    password: str = ""
    tls: ssl.SSLContext | None = None

    def client(self, identifier: str, **options: Any) -> aiomqtt.Client:
        return aiomqtt.Client(
            {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host),  # noqa: S104 - not a bind
            self.port,
            username=self.username or None,
            password=self.password or None,
            identifier=identifier,
            tls_context=self.tls,
            **options,
        )


class BrokerLink:
    """Reconnects for ever. `take(message, device)` is called for every message on an `up` topic; what comes
    on a token's topic goes to `first`. `connected` is set while there is a link and what is retained is published."""

    def __init__(
        self,
        login: Login,
        network: str,
        take: Callable[[bytes, bytes], None],
        first: FirstContacts,
        foreign: Callable[[], None],
    ) -> None:
        self._login = login
        self._network = network
        self._take = take
        self._first = first
        self._foreign = foreign
        self._client: aiomqtt.Client | None = None
        self._retained: dict[str, bytes] = {}
        self.connected = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._session()
            except aiomqtt.MqttError:
                pass
            finally:
                self._client = None
                self.connected.clear()
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # see below
                raise asyncio.CancelledError
            await asyncio.sleep(RECONNECT_S)

    async def _session(self) -> None:
        client = self._login.client(f"{COORDINATOR}-{self._network}", max_queued_incoming_messages=QUEUE_MAX)
        async with client:
            await client.subscribe(f"edgetally/{self._network}/+/+/up", qos=0)
            self._client = client
            # A beacon may come meanwhile: of each topic the newest is published, and nothing iterates over the dict.
            for topic in list(self._retained):
                await client.publish(topic, self._retained[topic], qos=1, retain=True)
            self.connected.set()
            # `wait_for` of Python 3.11, inside aiomqtt, forgets a cancellation that comes together with its result.
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
            async for message in client.messages:
                device = topic_device(self._network, message.topic.value)
                payload = message.payload
                if device is not None and isinstance(payload, bytes):
                    self._take(payload, device)
                elif (token := enrolling_token(self._network, message.topic.value)) and isinstance(payload, bytes):
                    self._first.take(payload, token)
                else:
                    self._foreign()

    async def retain(self, name: str, payload: bytes) -> None:
        """Publish `edgetally/<network>/<name>` retained, now and after every reconnection."""
        topic = f"edgetally/{self._network}/{name}"
        self._retained[topic] = payload
        await self._publish(topic, payload, retain=True)

    async def send(self, sheet: SignedSheet) -> None:
        """The same signed bytes to every device that the sheet names. Without a link they are lost, and asked again."""
        for device in sheet.devices:
            await self._publish(base_topic(self._network, device) + "/down", sheet.data, retain=False)
        for topic in self._first.topics(sheet.devices):
            await self._publish(topic, sheet.data, retain=False)

    async def send_all(self, sheets: list[SignedSheet]) -> None:
        for sheet in sheets:
            await self.send(sheet)

    async def _publish(self, topic: str, payload: bytes, retain: bool) -> None:
        client = self._client
        if client is None:
            return
        try:
            await client.publish(topic, payload, qos=1 if retain else 0, retain=retain)
        except aiomqtt.MqttError:
            return
