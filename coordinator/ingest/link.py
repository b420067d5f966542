"""The coordinator's own connection to the broker: subscribes to every `up`, publishes beacons, keys and receipts."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

import structlog

from device_client.core.client import base_topic

from .access import COORDINATOR, enrolling_token, topic_device
from .aiomqtt_link import AiomqttTransport
from .first_contact import FirstContacts
from .mqtt5_link import Mqtt5Transport
from .receipts import SignedSheet
from .transport import LinkLost, Login, NoAnswer, Session, Transport, UnsupportedVersion

log = structlog.get_logger("edgetally")
RECONNECT_S = 1.0
TOPICS_CACHED_MAX = 100_000
Transports = Mapping[int, Transport]  # by version of MQTT
TRANSPORTS: dict[int, Transport] = {5: Mqtt5Transport(), 4: AiomqttTransport()}


def filters_of(network: str, shards: Iterable[int] | None = None) -> list[str]:
    """Every `up` topic of the network, or those of some shards and of first contacts, which belong to no shard."""
    if shards is None:
        return [f"edgetally/{network}/+/+/up"]
    return [*(f"edgetally/{network}/{shard:02x}/+/up" for shard in shards), f"edgetally/{network}/enroll/+/up"]


class BrokerLink:
    """Reconnects for ever. `take(message, device)` is called for every message on an `up` topic; what comes
    on a token's topic goes to `first`, whatever else comes is only counted by `foreign()`. `connected` is set while
    there is a link and what is retained is published.

    `filters` are what it subscribes to. Two links at one broker need two `identifier`s. A device takes what is retained
    for the sign that it is heard: where others listen, `heard()` waits for them. `told` is called when `connected`
    changes.

    A consumer without room calls `pause()`, also from within `take`, whose message is then the last one; and `resume()`
    when there is room again. Meanwhile the broker is not read."""

    def __init__(
        self,
        login: Login,
        network: str,
        take: Callable[[bytes, bytes], None],
        first: FirstContacts,
        foreign: Callable[[], None],
        filters: Sequence[str],
        identifier: str = "",
        heard: Callable[[], Awaitable[None]] | None = None,
        told: Callable[[bool], None] = lambda is_linked: None,
        transports: Transports = TRANSPORTS,
    ) -> None:
        self._login = login
        self._network = network
        self._take = take
        self._first = first
        self._foreign = foreign
        self._filters = filters
        self._identifier = identifier or f"{COORDINATOR}-{network}"
        self._heard = heard
        self._told = told
        self._transports = transports
        self._versions = list(login.versions)
        self._version = 0
        self._session: Session | None = None
        self._is_paused = False
        self._device_of: dict[str, bytes] = {}
        self._retained: dict[str, bytes] = {}
        self._said = ""
        self.connected = asyncio.Event()

    async def run(self) -> None:
        while True:
            pause_s = RECONNECT_S
            try:
                await self._connected_once()
            except LinkLost as error:
                self._say(error)
                if self._choose_version(error):
                    pause_s = 0.0
            finally:
                self._session = None
                if self.connected.is_set():
                    self.connected.clear()
                    self._told(False)
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # aiomqtt may have swallowed it
                raise asyncio.CancelledError
            await asyncio.sleep(pause_s)

    async def _connected_once(self) -> None:
        transport = self._transports[self._versions[self._version]]
        async with transport.session(self._login, self._identifier, self._received) as session:
            if self._filters:
                await session.subscribe(self._filters)
            if self._heard is not None:
                await self._heard()
            self._session = session
            if self._is_paused:
                session.pause()
            # A beacon may come meanwhile: of each topic the newest is published, and nothing iterates over the dict.
            for topic in list(self._retained):
                await session.publish(topic, self._retained[topic], retain=True)
            self.connected.set()
            self._told(True)
            self._said = ""
            await session.serve()

    def _choose_version(self, error: LinkLost) -> bool:
        """For the next session; whether there is no need to wait for it. What a broker says is remembered. Silence may
        be a broker that dies, so there the next version is tried once, and then the preferred one again."""
        if isinstance(error, UnsupportedVersion) and len(self._versions) > 1:
            self._versions.pop(self._version)
            self._version = 0
            return True
        is_silent = isinstance(error, NoAnswer)
        self._version = (self._version + 1) % len(self._versions) if is_silent else 0
        return False

    def _say(self, error: LinkLost) -> None:
        """Once for each reason in a row, not once a second."""
        if str(error) != self._said:
            self._said = str(error)
            log.warning("link_lost", why=self._said)

    # WHAT ARRIVES

    def _received(self, topic: str, payload: bytes) -> None:
        device = self._device_of.get(topic)
        if device is None:
            device = topic_device(self._network, topic)
            if device is None:
                self._elsewhere(topic, payload)
                return
            if len(self._device_of) >= TOPICS_CACHED_MAX:
                self._device_of.clear()
            self._device_of[topic] = device
        self._take(payload, device)

    def _elsewhere(self, topic: str, payload: bytes) -> None:
        if token := enrolling_token(self._network, topic):
            self._first.take(payload, token)
        else:
            self._foreign()

    def pause(self) -> None:
        """Deliver nothing more until `resume`."""
        self._is_paused = True
        if self._session is not None:
            self._session.pause()

    def resume(self) -> None:
        self._is_paused = False
        if self._session is not None:
            self._session.resume()

    # WHAT GOES OUT

    async def retain(self, name: str, payload: bytes) -> None:
        """Publish `edgetally/<network>/<name>` retained, now and after every reconnection."""
        topic = f"edgetally/{self._network}/{name}"
        self._retained[topic] = payload
        if self._session is not None:
            try:
                await self._session.publish(topic, payload, retain=True)
            except LinkLost as error:
                self._say(error)

    async def send(self, sheet: SignedSheet) -> None:
        await self.send_all([sheet])

    async def send_all(self, sheets: Iterable[SignedSheet]) -> None:
        """The same signed bytes to every device that a sheet names. Without a link they are lost, and asked again."""
        if self._session is None:
            return
        try:
            await self._session.publish_many(self._addressed(sheets))
        except LinkLost:
            return

    async def tell(self, device: bytes, messages: Sequence[bytes]) -> None:
        """Messages to one device. Without a link they are lost, and asked for again."""
        if self._session is None:
            return
        topic = base_topic(self._network, device) + "/down"
        with contextlib.suppress(LinkLost):
            await self._session.publish_many((topic, message) for message in messages)

    def _addressed(self, sheets: Iterable[SignedSheet]) -> Iterator[tuple[str, bytes]]:
        for sheet in sheets:
            for device in sheet.devices:
                yield base_topic(self._network, device) + "/down", sheet.data
            for topic in self._first.topics(sheet.devices):
                yield topic, sheet.data
