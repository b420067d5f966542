"""Reads for pages, API and command line, over the module stores. Every total is computed here and nowhere else."""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from coordinator.engine import log
from coordinator.engine.derivation import Sums
from coordinator.engine.explain import Evidence, explain
from coordinator.engine.proofs import Archived
from coordinator.engine.stub import pay_stub
from coordinator.engine.views import BatchView
from coordinator.kernel.standing import STANDING_NAMES
from coordinator.kernel.stub_views import StubView
from coordinator.kernel.views import (
    ArchiveView,
    ConsistencyView,
    DeviceView,
    Explanation,
    InclusionView,
    NetworkView,
    PayoutView,
    ProofView,
)
from coordinator.kernel.windows import marks
from coordinator.modules.identity import QUARANTINED
from coordinator.modules.rewards import PAYOUTS
from device_client.core import merkle, verdicts

from .batch_queries import read_batch
from .bundle_queries import BundleQueries
from .cluster_queries import ClusterQueries
from .day_queries import DayQueries
from .earnings_queries import EarningsQueries
from .list_queries import ListQueries
from .owner_queries import OwnerQueries
from .place_queries import PlaceQueries
from .reading_queries import ReadingQueries
from .schema import INTAKE, table_of
from .search_queries import SearchQueries
from .stub_queries import StubQueries
from .uptime_queries import UptimeQueries

_SENSING_COUNTS = (
    "windows_measured",
    "late",
    "out_of_bounds",
    "jump",
    "constant",
    "bad_readings",
    "nothing_measured",
)


class Counts(NamedTuple):
    """What every page of the network says, after so many batches."""

    batches: int
    statements: int
    devices: int
    quarantined: int
    owners: int
    paid: int
    treasury: int


class Queries(
    EarningsQueries,
    ListQueries,
    OwnerQueries,
    StubQueries,
    BundleQueries,
    ReadingQueries,
    PlaceQueries,
    UptimeQueries,
    DayQueries,
    SearchQueries,
    ClusterQueries,
):
    """Implements the web's reader over the stores of one data directory."""

    # NETWORK

    async def network(self) -> NetworkView:
        live = self._live()
        counts = await self._once_a_batch(("network",), self._counts)
        return NetworkView(
            name=self._genesis.name,
            genesis=self._genesis.hash,
            beacon=live.beacon,
            beacon_time=live.beacon_time,
            beacon_interval_s=self._calendar.beacon_interval_s,
            epoch_beacons=self._calendar.epoch_beacons,
            epoch=self._calendar.epoch_of(max(0, live.beacon)),
            batches=counts.batches,
            statements=counts.statements,
            devices=counts.devices,
            quarantined=counts.quarantined,
            owners=counts.owners,
            paid=counts.paid,
            treasury=counts.treasury,
            refusals={name: count for name, count in live.reasons.items() if name != verdicts.name(verdicts.OK)},
        )

    async def _counts(self) -> Counts:
        batches = await self._stores.applied("ledger") + 1
        devices, epochs = table_of("identity", "devices"), table_of("rewards", "epochs")
        quarantined = sa.func.sum(sa.case((devices.c.standing == QUARANTINED, 1), else_=0))
        owners = sa.func.count(sa.distinct(devices.c.owner))
        known, spoken, money = await asyncio.gather(
            self._one("identity", sa.select(sa.func.count(), quarantined, owners).select_from(devices)),
            self._one("identity", sa.select(sa.func.sum(table_of("identity", "activity").c.statements))),
            self._one("rewards", sa.select(sa.func.sum(epochs.c.paid), sa.func.sum(epochs.c.treasury))),
        )
        return Counts(batches, spoken[0] or 0, known[0], known[1] or 0, known[2], money[0] or 0, money[1] or 0)

    async def standings(self) -> dict[str, int]:
        """Devices by standing; those in vetting are active here."""
        return await self._once_a_batch(("standings",), self._standings)

    async def _standings(self) -> dict[str, int]:
        devices = table_of("identity", "devices")
        grouped = sa.select(devices.c.standing, sa.func.count()).group_by(devices.c.standing)
        found = {row[0]: row[1] for row in await self._rows("identity", grouped)}
        return {name: found.get(code, 0) for code, name in STANDING_NAMES.items()}

    # ARCHIVE

    async def archive_index(self) -> ArchiveView:
        return await asyncio.to_thread(self._published.index)

    async def archive_batch(self, number: int) -> list[str]:
        return await asyncio.to_thread(self._published.batch, number)

    async def archive_file(self, name: str) -> Path | None:
        return await asyncio.to_thread(self._published.file, name)

    # BATCHES

    async def batch(self, number: int) -> BatchView | None:
        return await read_batch(self._home, self._genesis, number)

    # LOG

    async def log_checkpoint(self) -> bytes | None:
        return await asyncio.to_thread(self._log_files.checkpoint)

    async def log_tile(self, tile: log.Tile) -> bytes | None:
        return await asyncio.to_thread(self._log_files.tile, tile)

    async def log_size(self) -> int:
        return await asyncio.to_thread(self._log_files.size)

    async def log_inclusion(self, batch: int, size: int) -> InclusionView:
        def made() -> InclusionView:
            hashes = self._log_files.hashes()
            proof = log.inclusion(batch, size, hashes)
            return InclusionView(batch, size, hashes(0, batch), log.root(size, hashes), proof)

        return await asyncio.to_thread(made)

    async def log_consistency(self, first: int, second: int) -> ConsistencyView:
        def made() -> ConsistencyView:
            hashes = self._log_files.hashes()
            roots = log.root(first, hashes), log.root(second, hashes)
            return ConsistencyView(first, second, *roots, log.consistency(first, second, hashes))

        return await asyncio.to_thread(made)

    # PROOFS

    async def payout_proof(self, device: bytes, epoch: int, size: int | None) -> ProofView | None:
        def made() -> ProofView | None:
            prover = self._prover
            log_size = self._log_files.size() if size is None else size
            batch, root = prover.closing_batch(epoch), prover.log_root(log_size)
            if root is None or batch >= log_size:
                return None
            found = prover.payout(epoch, device)
            if found is None:
                return None
            payout = PayoutView(*PAYOUTS.unpack(found.leaf)[0])  # type: ignore[arg-type]
            proved = found.leaf, found.number, found.size, _hashes(found.path)
            logged = log_size, root, _hashes(prover.log_path(batch, log_size))
            return ProofView(payout, *proved, batch, prover.header(batch), *logged)

        async with self._proving:  # a tree at a time
            try:
                return await asyncio.to_thread(made)
            except Archived:
                return None

    # WHY

    async def explain(self, device: DeviceView, epoch: int | None) -> Explanation:
        """Of the newest closed epoch, if none is given."""
        newest = await self._newest_closed()
        number = epoch if epoch is not None else max(0, newest)
        payout = await self._payout(device.device, number)
        return explain(await self._evidence(device, number, number <= newest, payout))

    async def pay_stub(self, device: DeviceView, epoch: int) -> StubView | None:
        """None for an epoch that has not begun."""
        row, payout = await asyncio.gather(self.epoch(epoch), self._payout(device.device, epoch))
        if row is None:
            return None
        evidence, (corrections, corrected), statements, postings = await asyncio.gather(
            self._evidence(device, epoch, row.closed, payout),
            self._corrections(device.device, epoch),
            self._statement_count(device.device, epoch),
            self._postings_of(payout),
        )
        return pay_stub(evidence, row, statements, [*postings, *corrected], corrections)

    async def _payout(self, device: bytes, epoch: int) -> PayoutView | None:
        table = table_of("rewards", "payouts")
        row = await self._one("rewards", sa.select(table).where(table.c.device == device, table.c.epoch == epoch))
        return PayoutView(*row[1:]) if row else None

    async def _evidence(self, device: DeviceView, epoch: int, closed: bool, payout: PayoutView | None) -> Evidence:
        caps, refused = table_of("rewards", "caps"), table_of(INTAKE, "refused")
        owner = payout.owner if payout else device.owner  # a device may have been transferred since
        of_device = sa.select(refused.c.code, refused.c.count).where(refused.c.device == device.device)
        of_owner = sa.select(caps.c.earned, caps.c.cap).where(caps.c.owner == owner, caps.c.epoch == epoch)
        cap, unproven, present, sensing, received, refusals, told, operated, sums = await asyncio.gather(
            self._one("rewards", of_owner),
            self._rows(INTAKE, of_device),
            self._windows_present(device.device, epoch, closed),
            self._sensing(device.device, epoch, closed),
            self._codes("identity", "verdicts", device.device, epoch),
            self._codes(INTAKE, "refusals", device.device, epoch),
            self.told(device, epoch),
            self._operated(device.device, epoch),
            self._sums(payout),
        )
        return Evidence(
            device=device,
            epoch=epoch,
            closed=closed,
            payout=payout,
            windows_present=present,
            windows=self._calendar.windows(device.interval_s),
            sensing=sensing,
            verdicts=received,
            refusals=refusals,
            unproven={row[0]: row[1] for row in unproven if not verdicts.is_receipted(row[0])},
            capped=(cap[0], cap[1]) if cap else None,
            late_ppm=self._parameters(epoch).integer("sensing_late_ppm"),
            sums=sums,
            rates=self._rates(epoch),
            enrolled_epoch=self._calendar.epoch_of(device.enrolled_slot),
            told=told,
            operated=operated,
        )

    async def _windows_present(self, device: bytes, epoch: int, closed: bool) -> int:
        table = table_of("presence", "presence" if closed else "windows")
        row = await self._one("presence", sa.select(table).where(table.c.device == device, table.c.epoch == epoch))
        if row is None:
            return 0
        return int(row.windows_present) if closed else marks(row.bitmap)

    async def _sums(self, payout: PayoutView | None) -> Sums | None:
        """The prefix sums by which the pools are split: whole blocks from their totals, and the rest of one block."""
        if payout is None:
            return None
        device, owner, epoch = payout.device, payout.owner, payout.epoch
        payouts, epochs = table_of("rewards", "payouts"), table_of("rewards", "epochs")
        blocks = table_of("rewards", "payout_blocks")
        weights = "presence_ppm", "sensing_ppm"
        sums = []
        for name in weights:
            earlier = sa.case((blocks.c.block < device[:1], blocks.c[name]), else_=0)
            sums += [_total(earlier), _total(blocks.c[name])]
        in_block = payouts.c.epoch == epoch, payouts.c.device >= device[:1], payouts.c.device < device
        gross = payouts.c.presence + payouts.c.sensing
        earlier = sa.case((payouts.c.device < device, gross), else_=0)
        of_owner = payouts.c.owner == owner, payouts.c.epoch == epoch
        split, rest, shared, emission = await asyncio.gather(
            self._one("rewards", sa.select(*sums).where(blocks.c.epoch == epoch)),
            self._one("rewards", sa.select(*(_total(payouts.c[name]) for name in weights)).where(*in_block)),
            self._one("rewards", sa.select(_total(earlier), _total(gross)).where(*of_owner)),
            self._one("rewards", sa.select(epochs.c.emission).where(epochs.c.epoch == epoch)),
        )
        presence_before, presence_all, sensing_before, sensing_all = map(int, split)
        return Sums(
            int(emission[0]),
            presence_before + int(rest[0]),
            presence_all,
            sensing_before + int(rest[1]),
            sensing_all,
            *map(int, shared),
        )

    async def _sensing(self, device: bytes, epoch: int, closed: bool) -> dict[str, int]:
        if closed:
            table = table_of("sensing", "sensing")
            row = await self._one("sensing", sa.select(table).where(table.c.device == device, table.c.epoch == epoch))
            return {name: row._mapping[name] for name in _SENSING_COUNTS} if row else {}
        tallies = table_of("sensing", "tallies")
        row = await self._one("sensing", sa.select(tallies).where(tallies.c.device == device, tallies.c.epoch == epoch))
        if row is None:
            return {}
        return {"windows_measured": marks(row.bitmap)} | {name: row._mapping[name] for name in _SENSING_COUNTS[1:]}

    async def _codes(self, store: str, name: str, device: bytes, epoch: int) -> dict[int, int]:
        """How often each code was given to a device's statements of an epoch."""
        table = table_of(store, name)
        first, last = self._calendar.first_slot(epoch), self._calendar.last_slot(epoch)
        counted = sa.select(table.c.code, sa.func.count()).where(
            table.c.device == device, table.c.slot.between(first, last)
        )
        return {row[0]: row[1] for row in await self._rows(store, counted.group_by(table.c.code))}


def _total(value: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(value), 0)


def _hashes(path: bytes) -> list[bytes]:
    return [path[at : at + merkle.HASH_BYTES] for at in range(0, len(path), merkle.HASH_BYTES)]
