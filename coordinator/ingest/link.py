"""The coordinator's own connection to the broker: subscribes to every `up`, publishes beacons, keys and receipts."""

import asyncio
from collections.abc import Callable

import aiomqtt

from device_client.core.client import base_topic

from .access import COORDINATOR, topic_device
from .receipts import SignedSheet

QUEUE_MAX = 10_000
RECONNECT_S = 1.0


class BrokerLink:
    """Reconnects for ever. `take(message, device)` is called for every message on an `up` topic; `connected` is set
    while there is a link, and `on_connect` then publishes what is retained."""

    def __init__(
        self,
        host: str,
        port: int,
        password: str,
        network: str,
        take: Callable[[bytes, bytes], None],
        foreign: Callable[[], None],
    ) -> None:
        self._host = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - not a bind: where the broker is
        self._port = port
        self._password = password
        self._network = network
        self._take = take
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
            await asyncio.sleep(RECONNECT_S)

    async def _session(self) -> None:
        client = aiomqtt.Client(
            self._host,
            self._port,
            username=COORDINATOR,
            password=self._password,
            identifier=f"{COORDINATOR}-{self._network}",
            max_queued_incoming_messages=QUEUE_MAX,
        )
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
                if device is None or not isinstance(message.payload, bytes):
                    self._foreign()
                else:
                    self._take(message.payload, device)

    async def retain(self, name: str, payload: bytes) -> None:
        """Publish `edgetally/<network>/<name>` retained, now and after every reconnection."""
        topic = f"edgetally/{self._network}/{name}"
        self._retained[topic] = payload
        await self._publish(topic, payload, retain=True)

    async def send(self, sheet: SignedSheet) -> None:
        """The same signed bytes to every device that the sheet names. Without a link they are lost, and asked again."""
        for device in sheet.devices:
            await self._publish(base_topic(self._network, device) + "/down", sheet.data, retain=False)

    async def _publish(self, topic: str, payload: bytes, retain: bool) -> None:
        client = self._client
        if client is None:
            return
        try:
            await client.publish(topic, payload, qos=1 if retain else 0, retain=retain)
        except aiomqtt.MqttError:
            return
