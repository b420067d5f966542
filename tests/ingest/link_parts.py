"""A link with a consumer that writes down what it gets; a mosquitto for anybody; and a broker that obeys the test."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import mqtt5
import pytest
import uvloop

from coordinator.ingest.link import BrokerLink, filters_of
from coordinator.ingest.transport import Login
from device_client.core.client import base_topic
from tests.parts import free_port, require_mosquitto

PATIENCE_S = 15.0
NETWORK = "test"
LOOPS: dict[str, Any] = {"asyncio": None, "uvloop": uvloop.new_event_loop}
DEVICE = bytes(range(16))
UP = base_topic(NETWORK, DEVICE) + "/up"
DOWN = base_topic(NETWORK, DEVICE) + "/down"
TOKEN = "ab" * 16 + "-0"
Run = Callable[[Callable[[], Awaitable[None]]], None]


def runs_on(name: str) -> Run:
    def run(scenario: Callable[[], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
            runner.run(asyncio.wait_for(scenario(), 2 * PATIENCE_S))  # type: ignore[arg-type]

    return run


class First:
    """First contacts, as far as the link needs them."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []
        self.waiting: list[str] = []

    def take(self, message: bytes, username: str) -> None:
        self.taken.append((message, username))

    def topics(self, devices: list[bytes]) -> list[str]:
        found, self.waiting = self.waiting, []
        return found


class Consumer:
    """`link`, running between `async with`. Says that it is full when it holds `room` messages."""

    def __init__(self, login: Login, room: int = 10**9, **options: Any) -> None:
        self.got: list[bytes] = []
        self.devices: set[bytes] = set()
        self.first, self.foreign, self.room = First(), 0, room
        first: Any = self.first
        options.setdefault("filters", filters_of(NETWORK))
        self.link = BrokerLink(login, NETWORK, self.take, first, self._count, **options)
        self._came = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def take(self, message: bytes, device: bytes) -> None:
        self.got.append(message)
        self.devices.add(device)
        if len(self.got) >= self.room:
            self.link.pause()
        self._came.set()

    def _count(self) -> None:
        self.foreign += 1

    async def came(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()

    async def connected(self) -> None:
        await asyncio.wait_for(self.link.connected.wait(), PATIENCE_S)

    async def __aenter__(self) -> "Consumer":
        self.task = asyncio.create_task(self.link.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
            return found
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE_S:g} s for {what}") from None


class OpenMosquitto:
    """A mosquitto that asks nobody for a password and loses nothing while it lives."""

    def __init__(self, folder: Path, lines: str = "") -> None:
        self.port = free_port()
        self._conf = folder / "mosquitto.conf"
        text = f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n{lines}"
        self._conf.write_text(text)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def login(self) -> Login:
        return Login("127.0.0.1", self.port, "")

    def start(self) -> None:
        self._child = subprocess.Popen([require_mosquitto(), "-c", str(self._conf)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.01)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait(PATIENCE_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[OpenMosquitto]:
    mosquitto = OpenMosquitto(tmp_path)
    mosquitto.start()
    yield mosquitto
    mosquitto.kill()


class Peer:
    """The broker's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._held = b""

    def send(self, *packets: Any) -> None:
        self.writer.write(b"".join(one if isinstance(one, bytes) else one.write() for one in packets))

    async def packet(self) -> Any:
        """The next one from the link; None at the end."""
        while True:
            with contextlib.suppress(IndexError):
                packet, length = mqtt5.read(memoryview(self._held))
                self._held = self._held[length:]
                return packet
            data = await self.reader.read(65536)
            if not data:
                return None
            self._held += data

    async def welcome(self, **options: Any) -> None:
        """CONNACK and SUBACK."""
        assert isinstance(await self.packet(), mqtt5.ConnectPacket)
        self.send(mqtt5.ConnAckPacket(**options))
        asked = await self.packet()
        granted = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE] * len(asked.topic_filters)
        self.send(mqtt5.SubAckPacket(asked.packet_id, granted))


class ObedientBroker:
    """Every connection goes to `talk(peer, its number from 0)`, and ends with it."""

    def __init__(self, talk: Callable[[Peer, int], Awaitable[None]]) -> None:
        self._talk = talk
        self.count = 0
        self.port = 0
        self.failures: list[BaseException] = []

    @property
    def login(self) -> Login:
        return Login("127.0.0.1", self.port, "")

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["ObedientBroker"]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number, self.count = self.count, self.count + 1
            try:
                await self._talk(Peer(reader, writer), number)
            except (AssertionError, TypeError, AttributeError) as error:
                self.failures.append(error)
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            assert not self.failures, self.failures
