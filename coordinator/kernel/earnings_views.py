"""What an owner's devices earn: amounts that are settled, and estimates that are marked as such."""

from collections.abc import Sequence
from typing import NamedTuple

from .views import DeviceView, OwnerView, PayoutView, Reason


class LifetimeView(NamedTuple):
    """Over all closed epochs, of all devices that were the owner's when they closed."""

    presence: int
    sensing: int
    owner_cap: int
    paid: int  # presence + sensing - owner_cap
    withheld: int  # of paid, ever
    released: int  # of that, since
    credited: int  # paid - withheld + released: what rewards brought to the account


class EstimateView(NamedTuple):
    """An epoch that is not closed yet. Nothing of it is promised."""

    epoch: int
    first_slot: int
    last_slot: int
    known_slot: int  # up to the end of this slot it is known what happened; first_slot - 1 where nothing is
    basis_epoch: int  # the closed epoch whose weights of all others are assumed
    so_far: int
    whole: int  # if the devices go on like this
    presence: int  # of `whole`, with the other three
    sensing: int
    owner_cap: int
    withheld: int


class MonthView(NamedTuple):
    """Thirty days at the pace of the newest closed epochs."""

    amount: int
    first_epoch: int
    last_epoch: int


class DeviceEarnings(NamedTuple):
    """A device with what it earned in the newest closed epoch, and why nothing."""

    device: DeviceView
    silent: bool
    silent_beacons: int
    payout: PayoutView | None
    paid: int  # in that epoch
    so_far: int  # in the epochs that are open
    why: Reason | None  # None where it was paid


class EarningsView(NamedTuple):
    owner: OwnerView
    lifetime: LifetimeView
    settled: int  # paid outside of the network
    moved: int  # transfers and corrections: what came minus what went
    epoch: int  # the newest closed one, -1 before the first
    estimates: Sequence[EstimateView]  # oldest epoch first; none before the first epoch has closed
    month: MonthView | None
    devices: Sequence[DeviceEarnings]  # silent ones first
    silent: int
    unpaid: int
