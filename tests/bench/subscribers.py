"""`python -m tests.bench.subscribers`: what a message costs the coordinator's process, by MQTT client and event loop.

All clients sit behind the same link, at a real mosquitto on loopback. Another process publishes reports in bursts; then
the link sends receipt sheets to devices that nobody plays. Counted is the processor time of the link's process alone,
in its kernel too. A client that is not installed is left out.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from coordinator.ingest.link import TRANSPORTS, BrokerLink, filters_of
from coordinator.ingest.receipts import SignedSheet
from coordinator.ingest.transport import Login, Received
from device_client.core.client import base_topic
from tests.parts import free_port, require_mosquitto

CLIENTS = {"mqtt5": 5, "aiomqtt": 4, "gmqtt": 99}
VARIANTS = [(name, loop) for loop in ("uvloop", "asyncio") for name in CLIENTS]
NETWORK = "bench"
DEVICES = [bytes([index % 256, index // 256]) * 8 for index in range(1000)]
REPORT = os.urandom(320)
SHEET = os.urandom(876)
ROWS = 32
BURST, BURST_S = 500, 0.08
BUSY_S = 0.02


class GmqttTransport:
    """Only what is measured."""

    @contextlib.asynccontextmanager
    async def session(self, login: Login, identifier: str, received: Received) -> AsyncIterator["GmqttTransport"]:
        import gmqtt

        self._client = gmqtt.Client(identifier)
        self._client.on_message = lambda client, topic, payload, qos, properties: received(topic, payload)
        await self._client.connect(login.host, login.port)
        yield self
        await self._client.disconnect()

    async def subscribe(self, filters: Sequence[str]) -> None:
        subscribed = asyncio.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        for one in filters:
            self._client.subscribe(one, qos=0)
        await subscribed.wait()

    async def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        self._client.publish(topic, payload, qos=1 if retain else 0, retain=retain)

    async def publish_many(self, messages: Iterable[tuple[str, bytes]]) -> None:
        for topic, payload in messages:
            self._client.publish(topic, payload, qos=0)
        await asyncio.sleep(0)

    async def serve(self) -> None:
        await asyncio.Event().wait()

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.subscribers", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--messages", type=int, default=10_000, help="A round.")
    parser.add_argument("--rounds", type=int, default=5, help="The medians are shown.")
    parser.add_argument("--client", nargs=3, metavar=("NAME", "LOOP", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--publish", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.publish:
        publish(given.publish, given.messages)
    elif given.client:
        name, loop, port = given.client
        with asyncio.Runner(loop_factory=_loop_factory(loop)) as runner:
            print(json.dumps(runner.run(one_round(name, int(port), given.messages))))
    else:
        found = measured(given.messages, given.rounds)
        print(json.dumps(found) if given.json else "\n".join(lines(found)))


def measured(messages: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds by variant. Rounds take turns, so that a busy minute of the machine hits all."""
    variants = [(name, loop) for name, loop in VARIANTS if all(importlib.util.find_spec(one) for one in (name, loop))]
    found: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder, _mosquitto(Path(folder)) as port:
        for _ in range(rounds):
            for name, loop in variants:
                told = json.loads(_child("--client", name, loop, str(port), "--messages", str(messages)))
                for what, us in told.items():
                    found.setdefault(f"{name}, {loop}", {}).setdefault(what, []).append(us)
    return {variant: {what: median(all_us) for what, all_us in told.items()} for variant, told in found.items()}


def lines(found: dict[str, dict[str, float]]) -> list[str]:
    """A table; ratios are to the first row."""
    first = next(iter(found.values()))
    shown = [f"| client, event loop | {' | '.join(first)} |", "| --- " * (len(first) + 1) + "|"]
    for variant, told in found.items():
        cells = [f"{us:.1f} µs, {us / first[what]:.1f}" for what, us in told.items()]
        shown.append(f"| {variant} | {' | '.join(cells)} |")
    return shown


async def one_round(name: str, port: int, messages: int) -> dict[str, float]:
    TRANSPORTS[CLIENTS["gmqtt"]] = GmqttTransport()
    count, wanted, reached = 0, 0, asyncio.Event()

    def take(message: bytes, device: bytes) -> None:
        nonlocal count
        count += 1
        if count >= wanted:
            reached.set()

    async def received(more: int) -> None:
        nonlocal wanted
        wanted = count + more
        reached.clear()
        await asyncio.wait_for(reached.wait(), 60)

    first: Any = _Nobody()
    login = Login("127.0.0.1", port, "", versions=(CLIENTS[name],))
    link = BrokerLink(login, NETWORK, take, first, lambda: None, filters_of(NETWORK))
    running = asyncio.create_task(link.run())
    await link.connected.wait()

    async def burst() -> float:
        """Processor time for all messages of a publisher in another process."""
        child = [sys.executable, "-m", __spec__.name, "--publish", str(port), "--messages", str(messages)]
        publisher = await asyncio.create_subprocess_exec(*child)
        started = time.process_time()
        await received(messages)
        took = time.process_time() - started
        await publisher.wait()
        return took * 1e6 / messages

    async def occupied() -> None:
        """Something else has the loop half of the time, as verifying and committing do: more waits in the socket."""
        while True:
            time.sleep(BUSY_S)  # noqa: ASYNC251
            await asyncio.sleep(BUSY_S)

    took_idle = await burst()
    elsewhere = asyncio.create_task(occupied())
    took_busy = await burst()
    elsewhere.cancel()

    groups = [SignedSheet(SHEET, DEVICES[at : at + ROWS], []) for at in range(0, 512, ROWS)]
    started = time.process_time()
    sheets = 0
    while sheets < messages:
        await link.send_all(groups)
        sheets += 512
    end = asyncio.create_task(received(1))
    session: Any = link._session
    await session.publish(base_topic(NETWORK, DEVICES[0]) + "/up", REPORT, retain=False)
    await end  # the broker has read them all
    took_published = time.process_time() - started

    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return {"received": took_idle, "received when busy": took_busy, "sheet sent": took_published * 1e6 / sheets}


def publish(port: int, messages: int) -> None:
    """Bursts over a bare socket, so that the publisher is no one's bottleneck."""
    packets = [_packet(0x30, _field((base_topic(NETWORK, one) + "/up").encode()) + REPORT) for one in DEVICES]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_packet(0x10, _field(b"MQTT") + b"\x04\x02\x00\x00" + _field(b"publisher")))
        connection.recv(4)
        for sent in range(0, messages, BURST):
            size = min(BURST, messages - sent)
            connection.sendall(b"".join(packets[index % len(packets)] for index in range(sent, sent + size)))
            time.sleep(BURST_S)
        connection.sendall(b"\xe0\x00")


class _Nobody:
    def topics(self, devices: list[bytes]) -> list[str]:
        return []


@contextlib.contextmanager
def _mosquitto(folder: Path) -> Any:
    port, conf = free_port(), folder / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n")
    child = subprocess.Popen([require_mosquitto(), "-c", str(conf)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        child.terminate()
        child.wait(10)


def _child(*arguments: str) -> str:
    command = [sys.executable, "-m", __spec__.name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]


def _loop_factory(name: str) -> Any:
    if name == "asyncio":
        return None
    import uvloop

    return uvloop.new_event_loop


def _field(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    """With a length of one or two digits."""
    length = len(body)
    digits = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
    return bytes([kind]) + digits + body


if __name__ == "__main__":
    main()
