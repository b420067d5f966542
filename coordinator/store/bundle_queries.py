"""Bundles for whoever wants to check a payout away from us: which batches hold a device's statements, and its keys."""

import asyncio

import sqlalchemy as sa

from coordinator.engine import bundle
from coordinator.engine.log import parse_checkpoint
from coordinator.engine.proofs import Archived

from .folders import FolderArchive
from .reads import Reads
from .schema import table_of

BATCHES_LISTED_MAX = 100_000  # of an epoch
KEY_BYTES = 32


class BundleQueries(Reads):
    async def bundle(self, device: bytes, epoch: int, slot: int | None) -> bytes | None:
        """See the web's Reader."""
        devices, former = table_of("identity", "devices"), table_of("identity", "former_keys")
        known = await self._one("identity", sa.select(devices.c.public_key).where(devices.c.device == device))
        if known is None:
            return None
        before = await self._one("identity", sa.select(former.c.public_keys).where(former.c.device == device))
        keys = _oldest_first(before[0] if before else b"") + [known[0]]
        held = await self._held(device, epoch)
        wanted = -1 if slot is None else slot // self._calendar.batch_beacons
        if slot is not None and wanted not in held:
            return None
        subject = bundle.Subject(device, keys, epoch, list(held), sum(held.values()), wanted)

        def made() -> bytes | None:
            note = self._log_files.checkpoint()
            if note is None:
                return None
            genesis, certificates = self._home.genesis.read_bytes(), self._home.keys.read_bytes()
            size, read = parse_checkpoint(note)[0].size, FolderArchive(self._home.root).read
            return bundle.made(bundle.Published(genesis, certificates, note, size, read), self._prover, subject)

        async with self._proving:  # a tree at a time
            try:
                return await asyncio.to_thread(made)
            except Archived:
                return None

    async def _held(self, device: bytes, epoch: int) -> dict[int, int]:
        """How many statements of the device each batch holds of the epoch's slots, by batch."""
        table = table_of("identity", "verdicts")
        slots = table.c.slot.between(self._calendar.first_slot(epoch), self._calendar.last_slot(epoch))
        counted = sa.select(table.c.batch, sa.func.count()).where(table.c.device == device, slots)
        rows = counted.group_by(table.c.batch).order_by(table.c.batch).limit(BATCHES_LISTED_MAX)
        return {row[0]: row[1] for row in await self._rows("identity", rows)}


def _oldest_first(former: bytes) -> list[bytes]:
    """The keys before the newest rotations, which are kept newest first."""
    return [former[at : at + KEY_BYTES] for at in range(0, len(former), KEY_BYTES)][::-1]
