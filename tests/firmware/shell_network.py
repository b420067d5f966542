"""A small coordinator for tests of the firmware's shell: the node of `coordinator.node` behind a real broker."""

import asyncio
import atexit
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import aiomqtt
import nacl.signing

from coordinator.engine.state import MemoryState
from coordinator.engine.wire import Refused
from coordinator.found import found_network, issue_token
from coordinator.ingest.pipeline import BEACON_TAG, QUESTION_TAGS
from coordinator.ingest.quotas import Limits
from coordinator.ingest.receipts import sheets
from coordinator.node import Node
from coordinator.store.home import Home
from device_client.core import manifest, questions, releases, verdicts
from device_client.core.cbor import Malformed
from device_client.core.client import base_topic
from tests.firmware.link_parts import FIRMWARE, PATIENCE_S, Program
from tests.parts import free_port, require_micropython, require_mosquitto

sys.path.append(str(FIRMWARE / "lib"))
shell, identity, storage = map(importlib.import_module, ("shell", "identity", "storage"))

NAME = "shell"
BEACON_S = 1
HEAP = "80K"
SOURCES_HEAP = "256K"
# Beacons here come by the clock, devices start and come back when the machine lets them: nothing is to be too old.
LATE_BEACONS_MAX = 10_000


@cache
def built() -> Path:
    """The firmware as bytecode, made once for all tests."""
    folder = Path(tempfile.mkdtemp(prefix="firmware-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    importlib.import_module("build").build(folder, "x64")
    return folder


class Network:
    """Founded in `folder`; `serve` connects to a broker and answers until cancelled.

    `outcomes` keeps what became of each message, and `heard` is called with their number as soon as one is here;
    `asked`: the questions, which stay without an answer.
    """

    def __init__(self, folder: Path, port: int) -> None:
        randbytes = random.Random(1).randbytes
        self.port = port
        home = Home(folder / "network")
        values = {"beacon_interval_s": 1, "epoch_beacons": 10, "reward_vetting_epochs": 1}
        values |= {"late_beacons_max": LATE_BEACONS_MAX}
        self.genesis = found_network(home, folder / "root.key", NAME, values, randbytes)
        owner = nacl.signing.SigningKey(randbytes(32))
        self.token = issue_token(home, self.genesis, bytes(owner.verify_key), 10, 100, randbytes)
        self.node = Node(home, MemoryState(), Limits(1000, 1000))
        self.outcomes: list = []
        self.messages: list[bytes] = []  # that belong to them, as they came
        self.refused: list[int] = []
        self.asked: list[bytes] = []
        self.heard: Callable[[int], None] = lambda count: None
        self._keys = home.keys.read_bytes()
        self.founded_s = int(time.time())
        self.beat()

    def given(self, folder: Path, **changes) -> Path:
        """A provisioning file for a device with its state in `folder`."""
        path = folder.with_suffix(".json")
        path.write_text(json.dumps(self.fields() | {"state_dir": str(folder)} | changes))
        return path

    def fields(self) -> dict:
        """A provisioning without a place for the state."""
        return {
            "network": NAME,
            "genesis": self.genesis.hash.hex(),
            "root_key": self.genesis.root_key.hex(),
            "token_seed": self.token.seed.hex(),
            "host": "127.0.0.1",
            "port": self.port,
            "interval_s": BEACON_S,
            "beacon_interval_s": BEACON_S,
            "readings_public": True,
            "retry_ms": 500,
            "records_max": 16,
        }

    def beat(self) -> bytes:
        beacon = self.node.beacon(int(time.time()))
        while batch := self.node.seal_next():
            self.node.adopt(batch)
        return beacon

    async def serve(self) -> None:
        """Beacons as fast as the devices of a test can follow, receipts at once; again after a broker's restart."""
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", self.port) as client, asyncio.TaskGroup() as tasks:
                    await done(client.subscribe("edgetally/+/+/+/up", qos=0))
                    await done(client.publish(f"edgetally/{NAME}/keys", self._keys, 1, retain=True))
                    tasks.create_task(self._beacons(client))
                    async for message in client.messages:
                        await self._answer(client, str(message.topic).split("/")[3], message.payload)
            except* aiomqtt.MqttError:
                await asyncio.sleep(0.05)  # until the broker is back: nothing tells us

    async def _beacons(self, client: aiomqtt.Client) -> None:
        while True:
            await done(client.publish(f"edgetally/{NAME}/beacon", self.beat(), 1, retain=True))
            await asyncio.sleep(0.25)  # the interval itself, four times as fast as the genesis says

    async def _answer(self, client: aiomqtt.Client, device: str, message: bytes) -> None:
        if message[:1] == BEACON_TAG:
            return  # shown to us, because a retained one is older: there is nothing to answer
        if message[:1] in QUESTION_TAGS:
            self._take_question(message)
            return
        intake = self.node.intake
        try:
            candidates = [intake.screen(message, bytes.fromhex(device))]
        except Refused as refused:
            self.refused.append(refused.code)
            return
        outcomes = intake.commit(candidates, intake.verify(candidates))
        self.outcomes += outcomes
        self.messages += [message] * len(outcomes)
        self.heard(len(self.outcomes))
        rows = [outcome.row for outcome in outcomes if outcome.row]
        for sheet in sheets(rows, self.node.incarnation, intake.slot, self.node.signer):
            for named in sheet.devices:
                await done(client.publish(base_topic(NAME, named) + "/down", sheet.data, 1))

    def _take_question(self, question: bytes) -> None:
        """When a board first asks for an update is spread by its name, so any may. Nothing is said: there is none."""
        try:
            (releases if question[0] == manifest.QUESTION_TAG else questions).parsed(question)
            self.asked.append(question)
        except Malformed:
            self.refused.append(verdicts.MALFORMED)


async def done(step: Awaitable) -> None:
    """`wait_for` of Python 3.11, inside aiomqtt, forgets a cancellation that comes together with its result."""
    await step
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Broker:
    """mosquitto on one port, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        settings = folder / "mosquitto.conf"
        settings.write_text(f"user root\nlistener {self.port} 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n")
        self._arguments = [require_mosquitto(), "-c", str(settings)]

    async def start(self) -> None:
        self._program = await Program(self._arguments).__aenter__()
        await self._program.until("running")

    async def kill(self) -> None:
        await self._program.kill()


@asynccontextmanager
async def served(folder: Path) -> "AsyncIterator[tuple[Network, Broker]]":
    """A network that answers behind a running broker."""
    broker = Broker(folder)
    await broker.start()
    network = Network(folder, broker.port)
    serving = asyncio.create_task(network.serve())
    try:
        yield network, broker
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await broker.kill()


class Device(Program):
    """The firmware in a process of its own; `status` waits for a status line that satisfies a condition."""

    def __init__(self, provisioning: Path, heap: str = HEAP, firmware: Path | None = None) -> None:
        arguments = ["-X", f"heapsize={heap}", "-O3", str((firmware or built()) / "main.py"), str(provisioning)]
        super().__init__([require_micropython(), *arguments], dict(os.environ))

    async def status(self, wanted: Callable[[dict], bool] = lambda status: True) -> dict:
        async def reading():
            while line := await self._process.stdout.readline():
                self._seen.append(line.decode())
                if line.startswith(b"{") and wanted(status := json.loads(line)):
                    return status
            raise AssertionError("the device ended:\n" + "".join(self._seen[-20:]))

        try:
            return await asyncio.wait_for(reading(), PATIENCE_S)
        except TimeoutError:
            raise AssertionError("no such status in:\n" + "".join(self._seen[-5:])) from None

    @property
    def said(self) -> str:
        return "".join(self._seen)

    async def interrupted(self) -> int:
        """Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return await self.ended()

    async def ended(self) -> int:
        self._seen.append((await asyncio.wait_for(self._process.stdout.read(), PATIENCE_S)).decode())
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)
