"""What the open epoch may come to for the devices of one owner: an estimate, before anybody can know.

The rules are those of the pay, in integers; what nobody knows yet is taken from the last closed epoch: how much all
other devices weigh. `estimated` is exact where they weigh the same again, and wrong by as much as they do not.

    so far   what the windows that are over come to, if the others do as in that epoch
    whole    the same at the end of the epoch, if its own devices go on as since it began (or since they enrolled)
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.amounts import PPM, share_ppm, split
from coordinator.kernel.epochs import Calendar

from .derivation import Rates

MONTH_S = 30 * 24 * 3600


class SoFar(NamedTuple):
    """One device in the open epoch. The last two are its own weights in the last closed epoch."""

    device: bytes
    windows: int  # of the epoch
    over: int  # of them, those that are over
    joined: int  # the window in which it enrolled, 0 if it was here before
    present: int
    measured: int
    late: int
    stuck: bool  # a value never changed: nothing for measuring
    in_good_standing: bool
    enrolled_epoch: int
    presence_ppm: int
    sensing_ppm: int


class Basis(NamedTuple):
    """The last closed epoch: its number and the weights of all devices in it."""

    epoch: int
    presence_all: int
    sensing_all: int


class Estimate(NamedTuple):
    """As in a payout; `paid` = presence + sensing - owner_cap, `withheld` is a part of it."""

    device: bytes
    presence: int
    sensing: int
    owner_cap: int
    paid: int
    withheld: int


def estimated(
    epoch: int, emission: int, rates: Rates, devices: Sequence[SoFar], basis: Basis, whole: bool
) -> list[Estimate]:
    """`devices` are all of one owner, in the order of their ids."""
    final = [_weights(one, rates, True) for one in devices]
    now = final if whole else [_weights(one, rates, False) for one in devices]
    presence_pool = share_ppm(emission, rates.presence_ppm)
    others_present = max(0, basis.presence_all - sum(one.presence_ppm for one in devices))
    others_measured = max(0, basis.sensing_all - sum(one.sensing_ppm for one in devices))
    presence = _shares(presence_pool, [one[0] for one in now], others_present + sum(one[0] for one in final))
    sensing = _shares(emission - presence_pool, [one[1] for one in now], others_measured + sum(one[1] for one in final))
    gross = [one + other for one, other in zip(presence, sensing, strict=True)]
    cap = share_ppm(emission, rates.owner_cap_ppm)
    allowed = split(cap, gross) if sum(gross) > cap else gross
    found = []
    for one, up, good, all_of_it, paid in zip(devices, presence, sensing, gross, allowed, strict=True):
        vetted = epoch - one.enrolled_epoch < rates.vetting_epochs
        withheld = share_ppm(paid, rates.withheld_ppm) if vetted else 0
        found.append(Estimate(one.device, up, good, all_of_it - paid, paid, withheld))
    return found


def windows_over(calendar: Calendar, epoch: int, interval_s: int, last_slot: int) -> int:
    """Windows of an epoch that lie before the end of a slot."""
    beacons = min(max(0, last_slot + 1 - calendar.first_slot(epoch)), calendar.epoch_beacons)
    if beacons == calendar.epoch_beacons:
        return calendar.windows(interval_s)
    return min(beacons // calendar.window_beacons(interval_s), calendar.windows(interval_s))


def joined_window(calendar: Calendar, epoch: int, interval_s: int, enrolled_slot: int) -> int:
    """The window of an epoch in which a device enrolled, 0 if before, the number of windows if after."""
    if enrolled_slot < calendar.first_slot(epoch):
        return 0
    if enrolled_slot > calendar.last_slot(epoch):
        return calendar.windows(interval_s)
    return calendar.window_of(enrolled_slot, interval_s)


def month(paid: int, epochs: int, epoch_s: int) -> int:
    """Thirty days at the pace of the last epochs, which paid so much together."""
    return paid * MONTH_S // (epochs * epoch_s)


def _weights(one: SoFar, rates: Rates, whole: bool) -> tuple[int, int]:
    """Presence and sensing in millionths of a full epoch, by the rules of those modules."""
    if not one.in_good_standing or not one.windows:
        return 0, 0
    present = _carried_on(one, one.present) if whole else one.present
    measured = _carried_on(one, one.measured) if whole else one.measured
    sensing = min(one.windows * PPM, measured * PPM + one.late * rates.late_ppm) // one.windows
    return PPM * present // one.windows, 0 if one.stuck else sensing


def _carried_on(one: SoFar, marked: int) -> int:
    """Windows at the end of the epoch, if the rest goes as those that are over."""
    seen = max(one.over - one.joined, marked)
    left = one.windows - max(one.over, one.joined)
    return min(one.windows, marked + (left * marked // seen if seen and left > 0 else 0))


def _shares(pool: int, weights: Sequence[int], total: int) -> list[int]:
    """As the exact split, behind others that come first in the order of ids: off by one unit a device at most."""
    return [pool * weight // total if total else 0 for weight in weights]
