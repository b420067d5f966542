"""A coordinator's data directory with many registered devices, written straight into the stores, and what it costs.

python -m tests.store.million FOLDER DEVICES

makes the folder if it is not there, and prints one JSON object: memory, start, point reads, a small batch.
"""

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from coordinator.engine.execute import execute
from coordinator.found import found_network
from coordinator.kernel.chains import ID8, Chain
from coordinator.kernel.statements import Statements
from coordinator.modules import identity
from coordinator.node import Node
from coordinator.recovery import recover
from coordinator.store.home import Home
from coordinator.store.migrate import migrate
from coordinator.store.schema import METADATA
from coordinator.store.stores import Stores
from device_client.core import cbor
from tests.modules.build import frame, key, row, statement_id

CHANNELS = cbor.encode([["temperature", "Cel", -2], ["humidity", "%RH", -2]])
PAGE = os.sysconf("SC_PAGE_SIZE")
SPEAKERS = 50
POINT_READS = 5000
OPEN_EPOCH = 0  # every device has been there in the epoch that is open


def device_id(index: int) -> bytes:
    """As scattered as real ones."""
    return key(f"registered {index}")[:16]


def make(folder: Path, devices: int) -> None:
    """A founded network whose stores hold so many devices, each with a chain, windows, a tally, a memory, a balance."""
    home = Home(folder)
    found_network(home, folder.with_suffix(".key"), "many", {}, Random(1).randbytes)
    for store in METADATA:
        migrate(store, home.stores / f"{store}.sqlite")
    window = Chain(0)
    for seq in range(1, 65):
        window.add(seq, key(f"id {seq}")[:ID8], key(f"id {seq - 1}")[:ID8])
    _, high, lost, ids, gaps = window.pack()
    registered = identity.Device(bytes(32), bytes(16), bytes(32), 0, 60, 1, 0, CHANNELS, identity.ACTIVE, 0)
    rows: dict[tuple[str, str], Any] = {
        ("identity", "devices"): lambda one: (one, *registered._replace(public_key=one * 2)),
        ("identity", "chains"): lambda one: (one, 1, 0, high, lost, ids, gaps),
        ("identity", "activity"): lambda one: (one, 64, 0),
        ("presence", "windows"): lambda one: (one, OPEN_EPOCH, b"\x01"),
        ("sensing", "tallies"): lambda one: (one, OPEN_EPOCH, b"\x01", 0, 0, 0, 0, 0, 0),
        ("rewards", "withheld"): lambda one: (one, 1),
        ("ledger", "balances"): lambda one: (3, one, 1),
        ("intake", "memories"): lambda one: (one, 1, 64, cbor.encode([2100, 4500]), cbor.encode([1, 1])),
    }
    ids_in_order = sorted(device_id(index) for index in range(devices))
    for (store, table), made in rows.items():
        connection = sqlite3.connect(home.stores / f"{store}.sqlite")
        connection.execute("PRAGMA synchronous=OFF")
        marks = ",".join("?" * len(made(bytes(16))))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", map(made, ids_in_order))
        connection.commit()
        connection.close()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def milliseconds(since: float) -> float:
    return (time.process_time() - since) * 1000


async def costs(folder: Path, devices: int) -> dict[str, float]:
    home = Home(folder)
    home.lock()
    before = resident()
    started = time.process_time()
    stores = await Stores.open(home)
    try:
        await recover(home, stores)
        state = stores.state()
        node = Node(home, state, 64)
        start_ms = milliseconds(started)
        found: dict[str, float] = {"devices": devices, "start_ms": start_ms, "started_bytes": resident() - before}
        random = Random(2)
        table = state["identity"]["devices"]
        times = []
        for _ in range(POINT_READS):
            wanted = (device_id(random.randrange(devices)),)
            since = time.process_time()
            assert table.get(wanted) is not None
            times.append((time.process_time() - since) * 1e6)
        found["point_read_us"] = median(times[POINT_READS // 2 :])
        queries, read = state.queries, state.rows_read
        reports = sorted(speakers(devices), key=lambda one: one.device)
        since = time.process_time()
        executed = execute(node.state, frame(1, 1, 0), Statements.of(reports))
        found["batch_ms"] = milliseconds(since)
        assert len(executed.effects["identity"].records["verdicts"]) == SPEAKERS
        found["batch_queries"], found["batch_rows"] = state.queries - queries, state.rows_read - read
        found["memory_bytes"] = resident() - before
        read = state.rows_read
        execute(node.state, frame(2, 2, 0)._replace(closing=range(OPEN_EPOCH + 1, OPEN_EPOCH + 2)), Statements.of([]))
        found["other_epoch_rows"] = state.rows_read - read
        return found
    finally:
        await stores.close()
        home.unlock()


def speakers(devices: int) -> Iterator[Any]:
    for index in range(SPEAKERS):
        said = row(index, 65, 1)
        device = device_id(index * (devices // SPEAKERS))
        yield said._replace(device=device, prev=key("id 64")[:16], id=statement_id(index, 1, 65, 0))


def main() -> None:
    folder, devices = Path(sys.argv[1]), int(sys.argv[2])
    if not folder.exists():
        make(folder, devices)
        # With a fresh memory:
        os.execv(sys.executable, [sys.executable, "-m", "tests.store.million", *sys.argv[1:]])
    print(json.dumps(asyncio.run(costs(folder, devices))))


if __name__ == "__main__":
    main()
