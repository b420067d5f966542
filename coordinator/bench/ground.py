"""The network that is measured: a real genesis, registered devices, beacon 0. Made offline, always the same bytes.

Only the connected devices hold keys that sign; the others are rows. They hang on a token whose seed the coordinator
does not hold, so a broker is told of the connected ones only.
"""

import asyncio
import hashlib
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nacl.signing

from coordinator.engine.state import MemoryState
from coordinator.found import found_network, issue_token
from coordinator.ingest.quotas import Limits
from coordinator.kernel.tables import Row, Table
from coordinator.modules import accounts, identity
from coordinator.node import Node
from coordinator.store.home import Home
from coordinator.store.stores import Stores
from device_client.core import cbor, cose, light

from .options import NETWORK, Options

FOUNDED_S = 1_800_000_000  # what beacon 0 says
INTERVAL_S = 60
CHANNELS = cbor.encode([["temperature", "Cel", -2], ["humidity", "%RH", -1]])
LATE_BEACONS_MAX = 1_000_000
DEADLINE_BEACONS = 100  # all that is signed quotes beacon 0
STATEMENTS_PER_SLOT_MAX = 100_000
SHARD_STATEMENTS_PER_SLOT_MAX = 10_000_000


class Ground(NamedTuple):
    """`quote` is how statements name beacon 0."""

    folder: Path
    genesis: bytes
    coordinator_key: bytes
    token_seed: bytes
    quote: bytes


def home_of(folder: Path) -> Home:
    return Home(folder / "data")


def device_key(index: int) -> nacl.signing.SigningKey:
    return nacl.signing.SigningKey(_bytes(b"device", index))


def make(folder: Path, options: Options, **parameters: int) -> Ground:
    """`parameters` are the network's that differ from the defaults."""
    folder.mkdir()
    home = home_of(folder)
    numbers = iter(range(1 << 30))

    def random(size: int) -> bytes:
        return _bytes(b"ground", next(numbers))[:size]

    values = {
        "beacon_interval_s": options.beacon_seconds,
        "deadline_beacons": DEADLINE_BEACONS,
        "late_beacons_max": LATE_BEACONS_MAX,
        **parameters,
    }
    genesis = found_network(home, folder / "root.key", NETWORK, values, random)
    owner = bytes(nacl.signing.SigningKey(random(32)).verify_key)
    token = issue_token(home, genesis, owner, options.connections, LATE_BEACONS_MAX, random)
    for message in home.inbox.glob("*.cose"):  # granted below, without a batch
        message.unlink()
    asyncio.run(_migrate(home))
    silent = bytes(nacl.signing.SigningKey(random(32)).verify_key)
    account = cose.signer_id(owner)
    held, others = options.connections, options.devices - options.connections
    rows = {
        identity.TOKENS: [
            (key, account, count, count, LATE_BEACONS_MAX)
            for key, count in ((token.public_key, held), (silent, others))
            if count
        ],
        identity.DEVICES: _devices(options, account, token.public_key, silent),
    }
    _insert(home.stores / "identity.sqlite", rows)
    _insert(home.stores / "accounts.sqlite", {accounts.ACCOUNTS: [(account, owner, 1)]})
    node = Node(home, MemoryState(), Limits(STATEMENTS_PER_SLOT_MAX, SHARD_STATEMENTS_PER_SLOT_MAX))
    beacon = node.beacon(FOUNDED_S)
    return Ground(folder, genesis.hash, node.public_key, token.seed, light.quote(beacon))


def copy(ground: Ground, folder: Path) -> Ground:
    """The same network again, as untouched as the first."""
    shutil.copytree(ground.folder, folder)
    return ground._replace(folder=folder)


def write_settings(folder: Path, options: Options, mqtt_port: int, http_port: int) -> Path:
    waiting_max = max(10_000, 2 * options.connections * options.in_flight)
    threads = "" if options.verify_threads is None else f"verify_threads = {options.verify_threads}\n"
    path = folder / "network.toml"
    path.write_text(
        f'data_dir = "data"\n'
        f'[broker]\nkind = "{options.broker}"\nport = {mqtt_port}\nconnections_max = {options.connections + 100}\n'
        f"[http]\nport = {http_port}\nown_process = true\n"
        f"[limits]\nstatements_per_slot_max = {STATEMENTS_PER_SLOT_MAX}\n"
        f"shard_statements_per_slot_max = {SHARD_STATEMENTS_PER_SLOT_MAX}\nqueue_max = {waiting_max}\n{threads}"
    )
    return path


async def _migrate(home: Home) -> None:
    await (await Stores.open(home)).close()


def _devices(options: Options, account: bytes, token_key: bytes, silent: bytes) -> Iterator[Row]:
    for index in range(options.devices):
        connects = index < options.connections
        # Nothing ever checks a silent device's key.
        public_key = bytes(device_key(index).verify_key) if connects else _bytes(b"silent", index)
        shown = token_key if connects else silent
        row = identity.Device(public_key, account, shown, 0, INTERVAL_S, 0, 0, CHANNELS, identity.ACTIVE, 0)
        yield (cose.signer_id(public_key), *row)


def _insert(path: Path, rows: "dict[Table, Any]") -> None:
    connection = sqlite3.connect(path)
    try:
        for table, values in rows.items():
            _insert_rows(connection, table, values)
        connection.commit()
    finally:
        connection.close()


def _insert_rows(connection: sqlite3.Connection, table: Table, rows: Iterable[Row]) -> None:
    names = ", ".join(column.name for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    connection.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows)  # noqa: S608 - our own names


def _bytes(what: bytes, index: int) -> bytes:
    return hashlib.sha256(b"edgetally bench/%s/%d" % (what, index)).digest()
