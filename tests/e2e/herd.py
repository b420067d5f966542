"""Thousands of devices in one process: the real light client each, an outbox in memory, and the least of MQTT.

They enrol before the coordinator starts, through `tests.faults.child`: so it finds them in its log, as after a crash,
and its broker knows them from the first moment. Signatures are checked once for all of them: on one machine, the herd's
own work would else be most of what is measured.
"""

import asyncio
import functools
import os
import signal
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress

import nacl.signing

from device_client import runner
from device_client.core import cose, light
from device_client.core.outbox import Outbox, Pending
from device_client.core.secret import broker_password
from device_client.provisioning import Provisioning
from device_client.sensors.simulated import SimulatedRoom
from tests.faults.child import BEACON, SHEET, Child
from tests.history import History, watch
from tests.sim.storage import PowerStorage

from .running import Net

TICK_S = 0.5
RECORDS_MAX = 2_000
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 2, 3, 0x40, 0x82, 9

_verify = functools.lru_cache(100_000)(runner.verify)


def mosquitto_pid(net: Net) -> int:
    """Of the coordinator's child; 0 while it has none."""
    try:
        return int((net.home.mosquitto / "pid").read_text())
    except (OSError, ValueError):
        return 0


@contextmanager
def no_orphan(net: Net) -> Iterator[None]:
    """`with no_orphan(net), coordinator(net)`: of a test that fails, no mosquitto stays behind either."""
    try:
        yield
    finally:
        if pid := mosquitto_pid(net):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def field(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT control packet with its length in base 128."""
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes((digit | (0x80 if length else 0),))
        if not length:
            return bytes((kind,)) + digits + body


def opening(username: str, password: str, topics: list[str]) -> bytes:
    """CONNECT and SUBSCRIBE in one piece."""
    name = username.encode()
    connect = packet(
        CONNECT, field(b"MQTT") + b"\x04\xc2\x00\x00" + field(name) + field(name) + field(password.encode())
    )
    return connect + packet(SUBSCRIBE, b"\x00\x01" + b"".join(field(one.encode()) + b"\x01" for one in topics))


def packets(data: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """(type, flags, body) of each whole packet, which is cut off."""
    while len(data) >= 2:
        length, shift, at = 0, 0, 1
        while at < len(data):
            length |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not data[at - 1] & 0x80:
                break
        else:
            return
        if len(data) < at + length:
            return
        first, body = data[0], bytes(data[at : at + length])
        del data[: at + length]
        yield first >> 4, first & 15, body


class Member(asyncio.Protocol):
    """One device. It comes back as the real one does, or, `at_once`, when it sees that the broker listens again."""

    def __init__(self, herd: "Herd", given: Provisioning, index: int, interval_s: int) -> None:
        self._herd = herd
        self._sensor = SimulatedRoom(index)
        key = nacl.signing.SigningKey.generate()
        self.client = runner.make_client(given, key, Outbox(PowerStorage(), RECORDS_MAX), self._sensor, interval_s)
        self.client.trust = light.Trust(given.genesis, given.root_key, _verify)
        watch(herd.history, self.client)
        client = self.client
        password = broker_password(given.token_seed, client.device_id)
        self._opening = opening(
            client.device_id.hex(), password, [client.keys_topic, client.down_topic, client.beacon_topic]
        )
        self._data = bytearray()
        self.transport: asyncio.Transport | None = None
        self._attempt = 0
        self.is_up = False
        self._sent_s: dict[Pending, float] = {}
        self._waiting: Pending | None = None
        self.receipted_s = 0.0  # when the report that waited was receipted

    # MQTT

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._data.clear()
        self.transport = transport
        transport.write(self._opening)

    def connection_lost(self, _: Exception | None) -> None:
        self.transport, self.is_up = None, False
        self.client.disconnected()
        self._herd.lost(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        for kind, flags, body in packets(self._data):
            if kind == CONNACK:
                assert body == b"\0\0", f"the broker refused a device with {body.hex()}"
            elif kind == SUBACK:
                self._attempt, self.is_up = 0, True
                self.client.linked(runner.now_ms())
                self.advance()
            elif kind == PUBLISH:
                self._take(flags, body)

    def _take(self, flags: int, body: bytes) -> None:
        end = 2 + struct.unpack(">H", body[:2])[0]
        topic = body[2:end].decode()
        if flags & 6:
            if self.transport:
                self.transport.write(packet(PUBACK, body[end : end + 2]))
            end += 2
        self.client.received(topic, body[end:], runner.now_ms())
        for pending in [one for one in self._sent_s if one not in self.client.outbox.pending]:
            self._herd.waited_s.append(time.monotonic() - self._sent_s.pop(pending))
        if self._waiting and self._waiting not in self.client.outbox.pending:
            self._waiting, self.receipted_s = None, time.monotonic()
        self.advance()

    # LIFE

    def advance(self) -> None:
        if self._herd.asleep:
            return
        now = runner.now_ms()
        if self.client.sample_due(now):
            self.client.sample(self._sensor.read(), now)
        for topic, message in self.client.tick(now):
            if self.transport:
                self.transport.write(packet(PUBLISH << 4, field(topic.encode()) + message))
        for pending in self.client.outbox.pending:
            self._sent_s.setdefault(pending, time.monotonic())

    def sign_unsent(self) -> None:
        """A report that waits for a link."""
        self.client.disconnected()
        now = runner.now_ms()
        if self.client.sample_due(now):
            self.client.sample(self._sensor.read(), now)
        assert self.client.tick(now) == []
        (self._waiting,) = self.client.outbox.pending

    async def connect(self) -> None:
        """Try until it is there."""
        loop = asyncio.get_running_loop()
        while not self._herd.over and self.transport is None:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._herd.net.mqtt_port)
            except OSError:
                self._attempt += 1
                await asyncio.sleep(runner.pause_s(self._attempt))

    async def come_back(self) -> None:
        if self._herd.at_once:
            await self._herd.listens()
        else:
            self._attempt += 1
            await asyncio.sleep(runner.pause_s(self._attempt))
        await self.connect()


class Herd:
    """`history` is written by all. `at_once`: nobody waits when the link is lost. `asleep`: nobody signs or sends."""

    def __init__(self, net: Net, count: int, interval_s: int = 1, at_once: bool = False) -> None:
        self.net = net
        self.at_once = at_once
        self.history = History()
        self.waited_s: list[float] = []  # from signing to receipt, of each statement
        self.asleep = False
        self.over = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._listens: asyncio.Task[None] | None = None
        given = net.given(net.token(count))
        self.members = [Member(self, given, index, interval_s) for index in range(count)]
        self._enrol()

    def _enrol(self) -> None:
        """Without a broker; the receipts come by the same way."""
        child = Child(self.net.home)
        by_id = {member.client.device_id: member.client for member in self.members}
        told = [data for what, data in child.call("beacon", int(time.time())) if what == BEACON]
        keys, now = self.net.home.keys.read_bytes(), runner.now_ms()
        messages = []
        for client in by_id.values():
            client.received(client.keys_topic, keys, now)
            client.received(client.beacon_topic, told[0], now)
            client.connected(now)
            messages += [message for _, message in client.tick(now)]
        for what, data in child.call("messages", messages):
            if what == SHEET:
                for device in {row[0] for row in light.parse_sheet(cose.unwrap(data).payload).rows}:
                    client = by_id[device]  # type: ignore[index]
                    client.received(client.down_topic, data, now)
        for client in by_id.values():
            client.disconnected()
            assert client.outbox.enrolled and not client.outbox.pending
        assert child.end() == 0

    # LINKS

    def lost(self, member: Member) -> None:
        if not self.over:
            self._start(member.come_back())

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def listens(self) -> None:
        """Until the broker listens; one asks for all of them."""
        if self._listens is None or self._listens.done():
            self._listens = asyncio.create_task(self._probe())
        await asyncio.shield(self._listens)

    async def _probe(self) -> None:
        while not self.over:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.net.mqtt_port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

    async def _ticks(self) -> None:
        while True:
            for at in range(0, len(self.members), 100):
                for member in self.members[at : at + 100]:
                    member.advance()
                await asyncio.sleep(TICK_S * 100 / max(100, len(self.members)))

    # LIFE

    async def __aenter__(self) -> "Herd":
        for member in self.members:
            self._start(member.connect())
        self._start(self._ticks())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for member in self.members:
            if member.transport:
                member.transport.abort()

    @property
    def newest(self) -> int:
        """The newest beacon that any of them has heard."""
        return max(member.client.beacon.number for member in self.members if member.client.beacon)

    def all_up(self) -> bool:
        return all(member.is_up for member in self.members)

    def all_drained(self) -> bool:
        return not any(member.client.outbox.pending for member in self.members)


async def soon(condition: Callable[[], object], what: str, patience_s: float = 30.0) -> None:
    """Until the condition is true, without stopping the loop."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:g} s for {what}"
        await asyncio.sleep(0.02)
