"""An owner deletes a device's readings, with their salts: out of the files, out of the store, and on the record.

The record (`readings/deleted.cbor`) comes first: from then on nobody who verifies misses what is gone. Then each file
is written anew and takes the place of the old one; the rows of the store go last, and what they held is overwritten.
A crash leaves the request in `private/deleting.cbor`, and the next start finishes it. Only closed epochs: their batches
are sealed, so nothing is written to their files any more.
"""

import asyncio
import os
from pathlib import Path

import sqlalchemy as sa

from coordinator.engine.deletions import REQUEST_BYTES, Deletion, packed, unpacked
from coordinator.engine.packing import Readings, pack_readings, unpack_readings, unpack_statements
from coordinator.engine.seal import STATEMENTS_FILE
from coordinator.kernel.epochs import Calendar
from coordinator.kernel.views import DeletedView
from device_client.core import cose
from device_client.durable import replace_durably, sync_folder

from .home import Home
from .schema import INTAKE, table_of
from .stores import Stores

REQUESTS_MAX = 100_000  # on the record of one network
FILES_A_STEP = 16


class NotDeletable(ValueError):
    """The text says why not."""


class Deleting:
    """One at a time on one data directory."""

    def __init__(self, home: Home, stores: Stores, calendar: Calendar) -> None:
        self._home = home
        self._stores = stores
        self._calendar = calendar
        self._lock = asyncio.Lock()

    async def delete(self, device: bytes, through_epoch: int, beacon: int) -> DeletedView:
        """The readings of all slots up to the end of a closed epoch. Raises NotDeletable, OSError."""
        async with self._lock:
            closed = self._calendar.epochs_closed(await self._last_sealed())
            if through_epoch >= closed:
                newest = f"; the newest closed one is {closed - 1}" if closed else ""
                raise NotDeletable(f"Epoch {through_epoch} is not closed yet{newest}.")
            last_slot = self._calendar.last_slot(through_epoch)
            wanted = Deletion(device, last_slot, max(beacon, last_slot), os.urandom(REQUEST_BYTES))
            await asyncio.to_thread(self._note, wanted)
            return await self._done(wanted)

    async def finish(self) -> None:
        """After a crash: what was begun. Raises OSError."""
        path = self._home.deleting
        if path.exists():
            async with self._lock:
                for wanted in unpacked(path.read_bytes()):
                    await asyncio.to_thread(self._record, wanted)
                    await self._done(wanted)

    async def _last_sealed(self) -> int:
        return (await self._stores.applied(INTAKE) + 1) * self._calendar.batch_beacons - 1

    def _note(self, wanted: Deletion) -> None:
        held = self._recorded()
        if len(held) >= REQUESTS_MAX:
            raise NotDeletable("There is no room for another request on the record.")
        replace_durably(self._home.deleting, packed([wanted]))
        self._record(wanted)

    def _record(self, wanted: Deletion) -> None:
        held = self._recorded()
        if wanted not in held:
            replace_durably(self._home.deleted, packed([*held, wanted]))

    def _recorded(self) -> list[Deletion]:
        return unpacked(self._home.deleted.read_bytes()) if self._home.deleted.exists() else []

    async def _done(self, wanted: Deletion) -> DeletedView:
        last_batch = wanted.last_slot // self._calendar.batch_beacons
        reports = 0
        for folder in (self._home.readings, self._home.private_readings):
            paths = [folder / f"{number}.bin" for number in await asyncio.to_thread(_batches_in, folder, last_batch)]
            for at in range(0, len(paths), FILES_A_STEP):
                reports += await asyncio.to_thread(self._cleaned, paths[at : at + FILES_A_STEP], wanted)
        await self._forget(wanted)
        await asyncio.to_thread(self._close)
        return DeletedView(wanted.request, wanted.last_slot, reports)

    def _cleaned(self, paths: list[Path], wanted: Deletion) -> int:
        return sum(self._clean(path, wanted) for path in paths)

    def _clean(self, path: Path, wanted: Deletion) -> int:
        """Take the device's readings out of one file; how many. A batch whose folder was moved away is refused: without
        its statements nobody knows whose readings are whose."""
        readings = unpack_readings(path.read_bytes())
        statements = self._home.batches / path.stem / STATEMENTS_FILE
        if not statements.exists():
            raise NotDeletable(f"The folder of batch {path.stem} was moved away; bring it back first.")
        held = unpack_statements(statements.read_bytes())
        left: Readings = {}
        for index, one in readings.items():
            slot, envelope = held[index]
            if slot > wanted.last_slot or cose.unwrap(envelope).kid != wanted.device:
                left[index] = one
        if len(left) < len(readings):
            # An empty file says as much as none, and is what a reader of the archive expects to find again.
            replace_durably(path, pack_readings(left))
        return len(readings) - len(left)

    async def _forget(self, wanted: Deletion) -> None:
        table = table_of(INTAKE, "readings")
        gone = sa.delete(table).where(table.c.device == wanted.device, table.c.slot <= wanted.last_slot)
        await self._stores.erase(INTAKE, gone)

    def _close(self) -> None:
        self._home.deleting.unlink(missing_ok=True)
        sync_folder(self._home.private)


def _batches_in(folder: Path, last: int) -> list[int]:
    if not folder.is_dir():
        return []
    names = (path.stem for path in folder.iterdir() if path.suffix == ".bin")
    return sorted(number for number in map(int, filter(str.isdecimal, names)) if number <= last)
