"""Reads for an owner's home: what came in, what is open, which devices earned nothing and why."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from coordinator.engine.derivation import Rates
from coordinator.engine.explain import Evidence, why_unpaid
from coordinator.engine.explain_operator import Operated
from coordinator.engine.provisional import (
    MONTH_S,
    Basis,
    Estimate,
    SoFar,
    estimated,
    joined_window,
    month,
    windows_over,
)
from coordinator.engine.silence import ENDED, is_silent, silent_beacons
from coordinator.kernel.earnings_views import DeviceEarnings, EarningsView, EstimateView, LifetimeView, MonthView
from coordinator.kernel.views import DeviceView, OwnerEpochView, OwnerView, PayoutView, Reason
from coordinator.kernel.windows import marks

from .epoch_queries import EpochQueries
from .operator_queries import OperatorQueries
from .schema import table_of

LIFETIME = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
SENSING_COUNTS = ("late", "out_of_bounds", "jump", "constant", "bad_readings", "nothing_measured")
MONTH_EPOCHS_MAX = 40
QUARANTINED_TOLD = 20  # of so many it is read who put them there
OPEN_EPOCHS_MAX = 4  # the running one, and those that wait for their deadline


class Open(NamedTuple):
    """What is known of an open epoch: rows of its devices, and what it emits."""

    epoch: int
    windows: dict[bytes, Any]
    tallies: dict[bytes, Any]
    emission: int


class EarningsQueries(EpochQueries, OperatorQueries):
    async def earnings(self, account: bytes) -> EarningsView | None:
        """None for an account that nobody has named."""
        owner, epoch, lifetime, settled, known, months = await asyncio.gather(
            self.owner(account),
            self._newest_closed(),
            self._lifetime(account),
            self.settled(account),
            self._known_slot(),
            self.owner_epochs(account, None, self._month_epochs()),
        )
        if owner is None:
            return None
        running = self._calendar.epoch_of(max(0, self._live().beacon))
        is_estimated = epoch >= 0 and bool(owner.devices)
        begun = range(epoch + 1, min(running, epoch + OPEN_EPOCHS_MAX) + 1) if is_estimated else ()
        payouts, basis, *opened = await asyncio.gather(
            self._of_devices("rewards", "payouts", epoch, owner.devices),
            self._basis(epoch),
            *(self._open(number, owner.devices) for number in begun),
        )
        estimates, by_device = self._estimates(owner, known, payouts, basis, opened)
        devices = await self._device_earnings(owner, epoch, payouts, by_device)
        return EarningsView(
            owner=owner,
            lifetime=lifetime,
            settled=settled,
            moved=owner.balance - lifetime.credited + settled,
            epoch=epoch,
            estimates=estimates,
            month=self._month(months, epoch),
            devices=devices,
            silent=sum(one.silent for one in devices),
            unpaid=sum(one.why is not None for one in devices),
        )

    async def _lifetime(self, account: bytes) -> LifetimeView:
        totals = table_of("rewards", "owner_totals")
        found = await self._one(
            "rewards", sa.select(*(totals.c[name] for name in LIFETIME)).where(totals.c.owner == account)
        )
        row = dict(zip(LIFETIME, found or (0,) * len(LIFETIME), strict=True))
        return LifetimeView(**row, credited=row["paid"] - row["withheld"] + row["released"])

    def _month_epochs(self) -> int:
        return max(1, min(MONTH_EPOCHS_MAX, MONTH_S // self._epoch_s()))

    def _epoch_s(self) -> int:
        return self._calendar.epoch_beacons * self._calendar.beacon_interval_s

    def _month(self, newest: Sequence[OwnerEpochView], epoch: int) -> MonthView | None:
        # One may have closed since `epoch` was read.
        rows = [row for row in newest if epoch - self._month_epochs() < row.epoch <= epoch]
        if not rows:
            return None
        first = rows[-1].epoch
        return MonthView(month(sum(row.paid for row in rows), epoch - first + 1, self._epoch_s()), first, epoch)

    # THE OPEN EPOCHS

    def _estimates(
        self, owner: OwnerView, known: int, payouts: dict[bytes, Any], basis: Basis, opened: Sequence[Open]
    ) -> tuple[list[EstimateView], dict[bytes, int]]:
        views, by_device = [], dict.fromkeys((one.device for one in owner.devices), 0)
        for each in opened:
            epoch, rows = each.epoch, self._so_far(owner.devices, each, known, payouts)
            rates = self._rates(epoch)
            now = estimated(epoch, each.emission, rates, rows, basis, whole=False)
            whole = estimated(epoch, each.emission, rates, rows, basis, whole=True)
            for one in now:
                by_device[one.device] += one.paid
            first, last = self._calendar.first_slot(epoch), self._calendar.last_slot(epoch)
            known_slot = min(max(known, first - 1), last)
            sums = _total(now, "paid"), *(_total(whole, name) for name in _SUMMED)
            views.append(EstimateView(epoch, first, last, known_slot, basis.epoch, *sums))
        return views, by_device

    async def _open(self, epoch: int, devices: Sequence[DeviceView]) -> Open:
        windows, tallies, view = await asyncio.gather(
            self._of_devices("presence", "windows", epoch, devices),
            self._of_devices("sensing", "tallies", epoch, devices),
            self.epoch(epoch),
        )
        assert view is not None, "an epoch that has begun"
        return Open(epoch, windows, tallies, view.emission)

    async def _basis(self, epoch: int) -> Basis:
        blocks = table_of("rewards", "payout_blocks")
        sums = (sa.func.coalesce(sa.func.sum(blocks.c[name]), 0) for name in ("presence_ppm", "sensing_ppm"))
        found = await self._one("rewards", sa.select(*sums).where(blocks.c.epoch == epoch))
        return Basis(epoch, int(found[0]), int(found[1]))

    async def _known_slot(self) -> int:
        """The last slot of the newest batch."""
        return (await self._stores.applied("presence") + 1) * self._calendar.batch_beacons - 1

    def _so_far(
        self, devices: Sequence[DeviceView], opened: Open, known: int, payouts: dict[bytes, Any]
    ) -> list[SoFar]:
        epoch, found = opened.epoch, []
        for one in devices:
            tally, last = opened.tallies.get(one.device), payouts.get(one.device)
            marked = opened.windows.get(one.device)
            found.append(
                SoFar(
                    device=one.device,
                    windows=self._calendar.windows(one.interval_s),
                    over=windows_over(self._calendar, epoch, one.interval_s, known),
                    joined=joined_window(self._calendar, epoch, one.interval_s, one.enrolled_slot),
                    present=marks(marked.bitmap) if marked else 0,
                    measured=marks(tally.bitmap) if tally else 0,
                    late=tally.late if tally else 0,
                    stuck=bool(tally and tally.constant),
                    in_good_standing=one.standing not in ENDED,
                    enrolled_epoch=self._calendar.epoch_of(one.enrolled_slot),
                    presence_ppm=last.presence_ppm if last else 0,
                    sensing_ppm=last.sensing_ppm if last else 0,
                )
            )
        return found

    # DEVICES

    async def _device_earnings(
        self, owner: OwnerView, epoch: int, payouts: dict[bytes, Any], so_far: dict[bytes, int]
    ) -> list[DeviceEarnings]:
        beacon = self._live().beacon
        unpaid = [one for one in owner.devices if epoch >= 0 and not _paid(payouts.get(one.device), owner.account)]
        jailed = [one.device for one in unpaid if one.standing == "quarantined"][:QUARANTINED_TOLD]
        present, sensed, *told = await asyncio.gather(
            self._of_devices("presence", "presence", epoch, unpaid),
            self._of_devices("sensing", "sensing", epoch, unpaid),
            *(self._operated(device, epoch) for device in jailed),
        )
        done = dict(zip(jailed, told, strict=True))
        why = {
            one.device: self._why(
                one, epoch, present.get(one.device), sensed.get(one.device), done.get(one.device, Operated())
            )
            for one in unpaid
        }
        found = []
        for one in owner.devices:
            row = payouts.get(one.device)
            payout = PayoutView(*row[1:]) if row is not None and row.owner == owner.account else None
            found.append(
                DeviceEarnings(
                    device=one,
                    silent=is_silent(one, beacon, self._calendar),
                    silent_beacons=silent_beacons(one, beacon),
                    payout=payout,
                    paid=payout.paid if payout else 0,
                    so_far=so_far.get(one.device, 0),
                    why=why.get(one.device),
                )
            )
        return sorted(found, key=lambda each: (not each.silent, each.why is None, each.device.device))

    def _why(self, device: DeviceView, epoch: int, present: Any, sensed: Any, done: Operated) -> Reason:
        counts = {name: sensed._mapping[name] for name in SENSING_COUNTS} if sensed is not None else {}
        return why_unpaid(
            Evidence(
                device=device,
                epoch=epoch,
                closed=True,
                payout=None,
                windows_present=present.windows_present if present is not None else 0,
                windows=self._calendar.windows(device.interval_s),
                sensing=counts | ({"windows_measured": sensed.windows_measured} if sensed is not None else {}),
                verdicts={},
                refusals={},
                unproven={},
                capped=None,
                late_ppm=self._rates(epoch).late_ppm,
                sums=None,
                rates=self._rates(epoch),
                enrolled_epoch=self._calendar.epoch_of(device.enrolled_slot),
                operated=done,
            )
        )

    async def _of_devices(self, store: str, name: str, epoch: int, devices: Sequence[DeviceView]) -> dict[bytes, Any]:
        """Rows of one epoch by device."""
        if epoch < 0 or not devices:
            return {}
        table = table_of(store, name)
        wanted = table.c.device.in_([one.device for one in devices])
        rows = await self._rows(store, sa.select(table).where(table.c.epoch == epoch, wanted))
        return {row.device: row for row in rows}

    def _rates(self, epoch: int) -> Rates:
        names = ("reward_presence_ppm", "reward_owner_cap_ppm", "reward_vetting_epochs", "reward_withheld_ppm")
        return Rates(*(self._parameters(epoch).integer(name) for name in (*names, "sensing_late_ppm")))


_SUMMED = ("paid", "presence", "sensing", "owner_cap", "withheld")


def _total(rows: Sequence[Estimate], name: str) -> int:
    return sum(getattr(one, name) for one in rows)


def _paid(row: Any, owner: bytes) -> bool:
    return row is not None and row.owner == owner and row.paid > 0
