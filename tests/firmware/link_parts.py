"""What the tests of the link share: the modules under test, and how their scripts are run by either interpreter.

On a device the modules lie side by side, so they are imported from their folder here as well.
"""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.parts import ROOT

FIRMWARE, HERE = ROOT / "firmware", Path(__file__).parent
PATIENCE_S = 20  # for what comes at once on an idle machine

sys.path[:0] = [str(FIRMWARE), str(HERE)]
sys.modules["mqtt_wire"] = importlib.import_module("link_wire")
link = importlib.import_module("link")
mqtt_packets = importlib.import_module("mqtt_packets")
for _name, _value in {
    "OVERSIZED": 0,
    "CONNACK": 2,
    "PUBLISH": 3,
    "PUBACK": 4,
    "SUBACK": 9,
    "PINGRESP": 13,
    "PINGREQ": b"\xc0\x00",
    "DISCONNECT": b"\xe0\x00",
    "DUP": 8,
}.items():
    setattr(mqtt_packets, _name, _value)  # names that a device does without
decode = importlib.import_module("link_decode").decode


def script(interpreter: str, name: str, *arguments: str) -> dict:
    """The arguments with which `subprocess` runs a script of this folder; MicroPython gets a heap of 96 KB."""
    heap = [] if interpreter == sys.executable else ["-X", "heapsize=96K"]
    paths = {"PYTHONPATH": str(FIRMWARE), "MICROPYPATH": f"{FIRMWARE}:.frozen"}
    return {
        "args": [interpreter, *heap, str(HERE / name), *arguments],
        "env": {**os.environ, **paths, "PYTHONUNBUFFERED": "1"},
        "text": True,
    }


class Program:
    """A child process whose lines are waited for; leaving the context ends it."""

    def __init__(self, args: list[str], env: dict | None = None, **_):
        self._args, self._env = args, env
        self._seen: list[str] = []

    async def __aenter__(self):
        self._process = await asyncio.create_subprocess_exec(
            *self._args, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return self

    async def __aexit__(self, *_):
        await self.kill()

    async def kill(self):
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def until(self, words: str) -> str:
        """Read on to the next line that has these whole words in it; what stands behind them."""
        while True:
            try:
                line = (await asyncio.wait_for(self._process.stdout.readline(), PATIENCE_S)).decode()
            except TimeoutError:
                line = ""
            if not line:
                raise AssertionError(f"no {words!r} in:\n" + "".join(self._seen))
            self._seen.append(line)
            _, found, behind = f" {line.rstrip()} ".partition(f" {words} ")
            if found:
                return behind.strip()

    async def counters(self) -> Counter:
        """Read to the last line, the counters; the process ends by itself with 0."""
        counters = Counter(json.loads(await self.until("counters")))
        assert await asyncio.wait_for(self._process.wait(), PATIENCE_S) == 0
        return counters


class Server:
    """A scripted peer on 127.0.0.1: the test is the server, byte by byte."""

    async def __aenter__(self):
        self._connections: asyncio.Queue[Connection] = asyncio.Queue()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()

    def _accept(self, reader, writer):
        self._connections.put_nowait(Connection(reader, writer))

    async def connection(self) -> "Connection":
        return await asyncio.wait_for(self._connections.get(), PATIENCE_S)

    async def link(self, granted: bytes = b"\x01\x01") -> "Connection":
        """The next connection, taken through CONNECT and SUBSCRIBE of two topics."""
        connection = await self.connection()
        assert (await connection.packet())[0] == 0x10
        connection.send(b"\x20\x02\x00\x00")
        subscribe = await connection.packet()
        assert subscribe[0] == 0x82
        connection.send(b"\x90\x04" + subscribe[2:4] + granted)
        return connection


class Connection:
    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    def send(self, data: bytes):
        self._writer.write(data)

    def tell(self, command: bytes):
        self.send(mqtt_packets.publish("down", command))

    async def packet(self) -> bytes:
        """The next packet of the device, whole; b"" once it has closed."""
        try:
            return await asyncio.wait_for(self._packet(), PATIENCE_S)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return b""

    async def _packet(self):
        packet = await self._reader.readexactly(2)
        length, shift = packet[1] & 0x7F, 7
        while packet[-1] & 0x80:
            packet += await self._reader.readexactly(1)
            length |= (packet[-1] & 0x7F) << shift
            shift += 7
        return packet + await self._reader.readexactly(length)

    async def last(self) -> bytes:
        """Read on until the device closes; its last packet."""
        packet = b""
        while more := await self.packet():
            packet = more
        return packet

    def close(self):
        self._writer.close()
