"""Trying a backup out: unpacked into a folder that is taken away again, verified as a stranger would, and opened as a
coordinator would.

What `verify` finds by executing all batches again is held against the stores, table by table; then a node is made on
it, which checks keys, beacons, log and intake.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from coordinator.engine.archive import Wrong
from coordinator.engine.audit import Auditor, Report
from coordinator.engine.choice import make_engine
from coordinator.engine.engines import WORKERS_MAX
from coordinator.engine.snapshots import TABLES, written
from coordinator.engine.state import NetworkState
from coordinator.engine.wire import Refused
from coordinator.ingest.quotas import Limits
from coordinator.kernel.rows import rows_of
from coordinator.node import Node
from coordinator.recovery import Fault, recover
from coordinator.store.folders import FolderArchive, numbered
from coordinator.store.home import Home
from coordinator.store.look import StoreBroken, trouble
from coordinator.store.stores import Stores, store_names

from .container import BadArchive
from .make import DATA
from .restore import Manifest, unpack

Progress = Callable[[str, int, int], None]


class Drilled(NamedTuple):
    """A backup that could be put back. `accounts` have the balances that executing everything again gives; `waiting`
    statements are in no batch yet."""

    manifest: Manifest
    report: Report
    accounts: int
    rows: int
    waiting: int


class Unlike(Exception):
    """The stores do not hold what the batches give, or a coordinator would not start; the text says where."""


def drill(archive: Path, scratch: Path, progress: Progress) -> Drilled:
    """Blocking; `progress` hears of (what, done, total). Raises BadArchive, Wrong, Unlike, OSError. Leaves nothing."""
    folder = Path(tempfile.mkdtemp(prefix="edgetally-drill-", dir=scratch))
    try:
        manifest = unpack(archive, folder, lambda done, total: progress("unpacking", done, total))
        home = Home(folder / DATA)
        first = _first(home)
        with make_engine("threads", min(os.cpu_count() or 1, WORKERS_MAX), "") as engine:
            told = lambda done, total: progress("verifying", done, total)  # noqa: E731 - one argument more
            report = Auditor(FolderArchive(home.root), told, engine=engine, first=first).run(
                bytes.fromhex(manifest.genesis)
            )
        return asyncio.run(_opened(home, manifest, report))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _first(home: Home) -> int:
    """The first batch that can be executed: old folders may have been moved away, a snapshot stands for them."""
    numbers = numbered(home.batches)
    if not numbers or numbers[0] == 0:
        return 0
    usable = [number + 1 for number in numbered(home.snapshots) if number >= numbers[0]]
    if not usable:
        raise Wrong(numbers[0], f"batches/{numbers[0]}", "is the oldest batch, and there is no snapshot to start from")
    return usable[0]


async def _opened(home: Home, manifest: Manifest, report: Report) -> Drilled:
    """As at the start of a coordinator. Raises Unlike, OSError."""
    try:
        for store in store_names():
            if what := trouble(store, home.store(store)):
                raise Unlike(f"store {store} {what}")
        stores = await Stores.open(home)
        try:
            await recover(home, stores)
            state = stores.state()
            rows = 0
            if manifest.batch >= 0:
                rows = _compared(report.state, state)
            node = Node(home, state, Limits(1, 1))
            waiting = sum(len(node.logs.ids(slot)) for slot in node.logs.slots())
        finally:
            await stores.close()
    except (Fault, StoreBroken, Refused, AssertionError) as error:
        raise Unlike(str(error)) from None
    if node.header_id.hex() != manifest.header:
        raise BadArchive("manifest.json: it names another header than the newest batch has")
    balances = rows_of(report.state.get("ledger", {}), "balances")
    return Drilled(manifest, report, len(balances), rows, waiting)


def _compared(executed: NetworkState, held: NetworkState) -> int:
    """How many rows were compared. Raises Unlike for the first table that differs."""
    expected, found = _tables(executed), _tables(held)
    for name, (module, table) in TABLES.items():
        if expected.get(name) != found.get(name):
            raise Unlike(f"store {module}: table {table.name} is not what executing the batches gives")
    return sum(len(rows_of(held.get(module, {}), table.name)) for module, table in TABLES.values())


def _tables(state: NetworkState) -> dict[str, bytes]:
    """The hash of each table's rows, by file name of a snapshot."""
    found: dict[str, bytes] = {}

    def take(name: str, chunks: Iterator[bytes]) -> None:
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        found[name] = digest.digest()

    written(state, take)
    return found
