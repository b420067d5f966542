"""A past for registered devices: epochs that a real coordinator closed, filled with made-up contributions by SQL.

Batches, headers, beacons and the log are real, though nothing was said in them. What devices earned is put into the
stores alone, in sums that agree: `verify` would refuse it, and nothing here is ever published.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import h3.api.basic_int as h3

from coordinator.bench.options import BenchFailed
from coordinator.engine import places
from coordinator.kernel.postings import CODE_REWARD, EMISSION, NOBODY, OWNER, TREASURY
from coordinator.logs import quiet
from coordinator.service import running
from coordinator.settings import load_settings
from coordinator.store import totals
from coordinator.store.home import Home
from device_client.core import cbor

WINDOWS = 4  # beacons of an epoch, a report each
READING_EPOCHS = 3  # of which readings are held
TOWN, CELLS_AROUND = (48.0, 11.0), 100  # where the map's devices are: 30,301 cells around it

Progress = Callable[[str, float, float], None]


def beat(config: Path, beacons: int, told: Progress) -> None:
    """Let the network grow older by so many beacons, as fast as it goes."""
    with quiet():
        asyncio.run(_beat(config, beacons, told))


async def _beat(config: Path, beacons: int, told: Progress) -> None:
    async with running(load_settings(config), config.parent) as service:
        service.stop()
        await service.idle()
        for count in range(beacons):
            await service.beacon()
            await service.seal()
            told("closing epochs", count, beacons)


def fill(home: Home, owners: int, told: Progress) -> int:
    """Give every device one of so many owners, and contributions in every epoch that is closed; how many of those."""
    notes = home.root.parent / "past.sqlite"
    steps = (_register, _payouts, _totals, _presence, _sensing, _verdicts, _ledger, _readings)
    for number, step in enumerate(steps):
        told("writing a past", number, len(steps))
        step(home, notes, owners)
    with closing(sqlite3.connect(notes)) as connection:
        (rows,) = connection.execute("SELECT (SELECT count(*) FROM people) * (SELECT count(*) FROM epochs)").fetchone()
    notes.unlink()
    return int(rows)


def _register(home: Home, notes: Path, owners: int) -> None:
    """Who owns what, in order of device id: `n` counts devices. And the epochs that are closed."""
    with _opened(home, "rewards", notes) as connection:
        connection.execute("CREATE TABLE p.epochs AS SELECT epoch, batch, emission FROM main.epochs ORDER BY epoch")
        if not connection.execute("SELECT count(*) FROM p.epochs").fetchone()[0]:
            raise BenchFailed("no epoch has closed")
    with _opened(home, "identity", notes) as connection:
        connection.execute("CREATE TABLE p.people (n INTEGER PRIMARY KEY, device BLOB, owner BLOB, capped INTEGER)")
        connection.execute(
            "INSERT INTO p.people SELECT row_number() OVER (ORDER BY device) - 1, device, owner, 0 FROM devices"
        )
        # Accounts are made of ids that are there: no two of them are alike.
        connection.execute(
            "CREATE TABLE p.owners AS SELECT n, CAST(substr(device, 9) || substr(device, 1, 8) AS BLOB) AS owner,"
            " 0 AS paid FROM p.people WHERE n < ?",
            (owners,),
        )
        connection.execute("CREATE UNIQUE INDEX p.by_number ON owners (n)")
        connection.execute(
            "UPDATE p.people SET capped = (n % 1000 = 0),"
            " owner = (SELECT owner FROM p.owners AS one WHERE one.n = people.n * 7919 % ?)",
            (owners,),
        )
        connection.execute("CREATE UNIQUE INDEX p.by_device ON people (device)")
        connection.execute("CREATE TABLE p.cells (n INTEGER PRIMARY KEY, place INTEGER)")
        around = h3.grid_disk(h3.latlng_to_cell(*TOWN, places.FINEST), CELLS_AROUND)
        connection.executemany("INSERT INTO p.cells VALUES (?, ?)", enumerate(sorted(around)))
        connection.execute(
            "UPDATE devices SET readings_public = 1, (owner, place) = (SELECT owner,"
            " (SELECT place FROM p.cells AS cell WHERE cell.n = one.n * 7919 % (SELECT count(*) FROM p.cells))"
            " FROM p.people AS one WHERE one.device = devices.device)"
        )


# What device n contributed in epoch e: its windows, and base units for presence and for measuring.
_PRESENT = f"({WINDOWS} - (n * 7 + epoch * 3) % 11 / 9)"
_PRESENCE = f"(1000000 * {_PRESENT})"
_SENSED = f"(750000 * {_PRESENT} - n % 1000)"
_CAP = "(capped * 500000)"
_PAID = f"({_PRESENCE} + {_SENSED} - {_CAP})"
_PPM = f"250000 * {_PRESENT}"
_SLOT = f"epoch * {WINDOWS}"


def _payouts(home: Home, notes: Path, _: int) -> None:
    amounts = f"{_PRESENCE}, {_SENSED}, {_CAP}, {_PAID}, 0, 0, {_PPM}, {_PPM}"
    _past(home, notes, "rewards", "payouts", f"batch, epoch, device, owner, {amounts}")


def _totals(home: Home, notes: Path, _: int) -> None:
    with _opened(home, "rewards", notes) as connection:
        connection.execute(
            "UPDATE epochs SET paid = (SELECT sum(paid) FROM owner_epochs WHERE epoch = epochs.epoch),"
            " devices = (SELECT sum(devices) FROM owner_epochs WHERE epoch = epochs.epoch)"
        )
        connection.execute("UPDATE epochs SET treasury = emission - paid")
        connection.execute("UPDATE p.owners AS one SET paid = (SELECT paid FROM owner_totals WHERE owner = one.owner)")
        if connection.execute("SELECT min(treasury) FROM epochs").fetchone()[0] < 0:
            raise BenchFailed("more was earned than is emitted")


def _presence(home: Home, notes: Path, _: int) -> None:
    _past(home, notes, "presence", "presence", f"batch, epoch, device, {_PRESENT}, {WINDOWS}, {_PPM}")


def _sensing(home: Home, notes: Path, _: int) -> None:
    counts = f"{_PRESENT}, {WINDOWS}, 0, 0, 0, 0, 0, {WINDOWS} - {_PRESENT}"
    _past(home, notes, "sensing", "sensing", f"batch, epoch, device, {counts}, {_PPM}")


def _verdicts(home: Home, notes: Path, _: int) -> None:
    """One statement a device and epoch."""
    values = f"batch, device, 1, epoch + 1, CAST(device || device AS BLOB), {_SLOT}, {_SLOT}, 0, 1"
    _past(home, notes, "identity", "verdicts", values)
    with _opened(home, "identity", notes) as connection:
        connection.execute("DELETE FROM activity")
        said = f"(SELECT count(*) FROM p.epochs), (SELECT max({_SLOT}) FROM p.epochs)"  # noqa: S608
        connection.execute(f"INSERT INTO activity SELECT device, {said} FROM p.people")  # noqa: S608


def _ledger(home: Home, notes: Path, _: int) -> None:
    nobody = f"x'{NOBODY.hex()}'"
    reward = f"{EMISSION}, {nobody}, {OWNER}, owner, {_PAID}, {CODE_REWARD}"
    _past(home, notes, "ledger", "postings", f"batch, epoch, {reward}")
    with _opened(home, "ledger", notes) as connection:
        paid, emitted = "(SELECT sum(paid) FROM p.owners)", "(SELECT sum(emission) FROM p.epochs)"
        treasury = f"{TREASURY}, {nobody}, {emitted} - {paid}"
        connection.execute("DELETE FROM balances")
        connection.execute(
            f"INSERT INTO balances SELECT {OWNER}, owner, paid FROM p.owners"  # noqa: S608 - our own names
            f" UNION ALL SELECT {EMISSION}, {nobody}, -{emitted} UNION ALL SELECT {treasury}"
        )


def _readings(home: Home, notes: Path, _: int) -> None:
    row = cbor.encode([2150, 480]).hex()
    newest = f"(SELECT * FROM p.epochs ORDER BY epoch DESC LIMIT {READING_EPOCHS})"  # noqa: S608
    _past(
        home, notes, "intake", "readings", f"batch, device, {_SLOT}, 1, epoch + 1, 1000, x'{row}', {_SLOT}, 1", newest
    )


def _past(home: Home, notes: Path, store: str, table: str, values: str, epochs: str = "p.epochs") -> None:
    """A row of a record table for each device and epoch; the indexes are made when all are there."""
    with _opened(home, store, notes) as connection:
        indexes = connection.execute(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql NOT NULL", (table,)
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        adding = [statement for of, statement in totals.ADDING.get(store, ()) if of == table]
        for (epoch,) in connection.execute(f"SELECT epoch FROM {epochs} AS past ORDER BY epoch").fetchall():  # noqa: S608
            newest = connection.execute(totals.newest_row(table)).fetchone()
            past = f"FROM p.epochs AS past CROSS JOIN p.people WHERE epoch = {epoch}"
            connection.execute(f"INSERT INTO {table} SELECT {values} {past}")
            for statement in adding:
                connection.execute(statement, newest)
        for _, statement in indexes:
            connection.execute(statement)


@contextmanager
def _opened(home: Home, store: str, notes: Path) -> Iterator[sqlite3.Connection]:
    """A store that nobody else has open; `p` are the notes. Without a journal: who is interrupted starts again."""
    with closing(sqlite3.connect(home.store(store))) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("ATTACH ? AS p", (str(notes),))
        connection.execute("PRAGMA p.journal_mode=OFF")
        yield connection
        connection.commit()
        connection.execute("PRAGMA journal_mode=WAL")
