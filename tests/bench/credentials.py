"""What many registered devices cost a managed mosquitto, and the coordinator that lets them in.

python -m tests.bench.credentials FOLDER DEVICES [CONNECTED]

makes the folder if it is not there, all devices of one token, and prints one JSON object: start, memory, file, reload.
The first run writes all credentials before mosquitto starts, later ones while it serves; the first reload comes after.
`gap_ms` is the longest that a connected client waits for the answer to a ping while mosquitto reads credentials anew.
"""

import asyncio
import json
import os
import secrets
import sqlite3
import sys
import time
from pathlib import Path

from coordinator.brokers import Managed
from coordinator.engine.genesis import parse_genesis
from coordinator.found import issue_token, load_tokens
from coordinator.ingest.access import COORDINATOR, device_password, load_secret, service_password
from coordinator.node import Node
from coordinator.settings import BrokerSettings, Settings
from coordinator.store.home import Home
from coordinator.store.stores import Stores
from tests.parts import free_port
from tests.store.million import PAGE, device_id, make, milliseconds, resident

GAP_S = 0.002  # between two pings
PING, PING_ANSWER = b"\xc0\x00", b"\xd0\x00"


def make_with_token(folder: Path, devices: int) -> None:
    make(folder, devices)
    home = Home(folder)
    genesis = parse_genesis(home.genesis.read_bytes())
    token = issue_token(home, genesis, bytes(32), devices, 1000, secrets.token_bytes)
    connection = sqlite3.connect(home.stores / "identity.sqlite")
    connection.execute("UPDATE devices SET token_key = ?", (token.public_key,))
    connection.commit()
    connection.close()


class Session:
    """One client of MQTT 3.1.1 that only pings."""

    def __init__(self, port: int, username: str, password: str) -> None:
        self._port = port
        fields = [username.encode(), username.encode(), password.encode()]
        body = b"\x00\x04MQTT\x04\xc2\x00\x00" + b"".join(len(one).to_bytes(2) + one for one in fields)
        self._connect = bytes([0x10, 0x80 | len(body) % 128, len(body) // 128]) + body

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._connect)
        assert await self._reader.readexactly(4) == b"\x20\x02\x00\x00", "refused"

    async def ping_ms(self) -> float:
        since = time.perf_counter()
        self._writer.write(PING)
        assert await self._reader.readexactly(2) == PING_ANSWER
        return milliseconds(since)


def memory_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


async def costs(folder: Path, devices: int, connected: int) -> dict[str, float]:
    home = Home(folder)
    stores = await Stores.open(home)
    try:
        node = Node(home, stores.state(), 64)
        port = free_port()
        settings = Settings(broker=BrokerSettings(kind="mosquitto", port=port, connections_max=connected + 10))
        managed = Managed(settings, folder, home, node)
        mosquitto = managed.mosquitto
        before, since = resident(), time.perf_counter()
        async with managed.listening(), asyncio.TaskGroup() as tasks:
            found: dict[str, float] = {"devices": devices, "start_ms": milliseconds(since)}
            found["is_written_first"] = mosquitto.is_written
            found["started_bytes"] = resident() - before
            found["mosquitto_bytes"] = memory_of(mosquitto.pid)
            found["file_bytes"] = (home.mosquitto / "passwords").stat().st_size
            found["reload_pause_s"] = mosquitto.reload_pause_s
            seed = load_tokens(home)[0].seed
            for index in range(connected):
                device = device_id(index)
                await Session(port, device.hex(), device_password(seed, device)).open()
            ours = Session(port, COORDINATOR, service_password(load_secret(home.broker_secret), COORDINATOR))
            await ours.open()
            running = tasks.create_task(managed.run())
            for name in ("first", "second"):
                since = time.perf_counter()
                mosquitto.admit([(name, "secret")])
                waits = []
                reloads = mosquitto.reloads
                while mosquitto.reloads == reloads:
                    waits.append(await ours.ping_ms())
                    await asyncio.sleep(GAP_S)
                found[f"{name}_signalled_ms"] = milliseconds(since)
                until = time.perf_counter() + 0.5
                while time.perf_counter() < until:
                    waits.append(await ours.ping_ms())
                    await asyncio.sleep(GAP_S)
                found[f"{name}_gap_ms"] = max(waits)
            found["reloaded_bytes"], found["peak_bytes"] = resident() - before, max(0, peak() - before)
            found["mosquitto_reloaded_bytes"] = memory_of(mosquitto.pid)
            running.cancel()
        return found
    finally:
        await stores.close()


def main() -> None:
    folder, devices = Path(sys.argv[1]), int(sys.argv[2])
    if not folder.exists():
        make_with_token(folder, devices)
        # With a fresh memory:
        os.execv(sys.executable, [sys.executable, "-m", "tests.bench.credentials", *sys.argv[1:]])
    connected = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print(json.dumps(asyncio.run(costs(folder, devices, connected))))


if __name__ == "__main__":
    main()
