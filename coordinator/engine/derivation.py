"""From windows to postings, in numbers: how the payout of one device came about, so that anyone can do the sum again.

Every line that ends in a number is `name = formula = number`, in base units, with nothing in the formula but numbers:

    floor(a x b / c)        rounded down, as all amounts are
    C0, C1                  sum of the weights of all devices before this one in the order of their ids, and with it
    G0, G1                  the same sum over what the devices of its owner earn
"""

from typing import NamedTuple

from coordinator.kernel.amounts import PPM, tokens
from coordinator.kernel.views import PayoutView


class Rates(NamedTuple):
    """The parameters that were in force."""

    presence_ppm: int
    owner_cap_ppm: int
    vetting_epochs: int
    withheld_ppm: int
    late_ppm: int


class Sums(NamedTuple):
    """Over all devices of the epoch in the order of their ids: `before` the device, and in all. `owner` sums are over
    presence and sensing of the owner's devices."""

    emission: int
    presence_before: int
    presence_all: int
    sensing_before: int
    sensing_all: int
    owner_before: int
    owner_all: int


class Windows(NamedTuple):
    """What its weights are made of; `stuck` is a constant sensor, which takes the whole weight for measuring."""

    windows: int
    present: int
    measured: int
    late: int
    stuck: bool


def derivation(payout: PayoutView, windows: Windows, sums: Sums, rates: Rates, enrolled_epoch: int) -> list[str]:
    """Lines of text, from the windows to the postings."""
    pool = sums.emission * rates.presence_ppm // PPM
    return [
        f"Budget of the epoch: E = {sums.emission}.",
        *_weights(payout, windows, rates),
        f"Pool for presence: P = floor({sums.emission} x {rates.presence_ppm} / {PPM}) = {pool}.",
        *_share("presence", pool, payout.presence_ppm, sums.presence_before, sums.presence_all),
        f"Pool for sensing: S = {sums.emission} - {pool} = {sums.emission - pool}.",
        *_share("sensing", sums.emission - pool, payout.sensing_ppm, sums.sensing_before, sums.sensing_all),
        *_cap(payout, sums, rates),
        *_vetting(payout, rates, enrolled_epoch),
        *_postings(payout),
    ]


def _weights(payout: PayoutView, found: Windows, rates: Rates) -> list[str]:
    full, counted = found.windows * PPM, f"{found.measured * PPM} + {found.late} x {rates.late_ppm}"
    whole = min(full, found.measured * PPM + found.late * rates.late_ppm)
    earned = PPM * found.present // found.windows, 0 if found.stuck else whole // found.windows
    if earned != (payout.presence_ppm, payout.sensing_ppm):
        return ["Weights: presence 0 and sensing 0, because it was quarantined."]
    present = f"floor({PPM} x {found.present} / {found.windows}) = {payout.presence_ppm}"
    lines = [f"Weight for presence, from {found.present} of {found.windows} windows: {present}."]
    if found.stuck:
        return [*lines, "Weight for sensing: 0, because a value never changed."]
    of = f"{found.measured} of {found.windows} windows and {found.late} late reports"
    measured = f"floor(1 x {whole} / {found.windows}) = {payout.sensing_ppm}"
    return [*lines, f"Weight for sensing, from {of} ({counted}, at most {full}): {measured}."]


def _share(name: str, pool: int, weight: int, before: int, total: int) -> list[str]:
    if total == 0:
        return [f"Weights for {name} of all devices: W = 0. {name} = 0."]
    after = before + weight
    amount = pool * after // total - pool * before // total
    return [
        f"Weights for {name} of all devices: W = {total}; of those before this one: C0 = {before}.",
        f"With this one: C1 = {before} + {weight} = {after}.",
        f"{name} = floor({pool} x {after} / {total}) - floor({pool} x {before} / {total}) = {amount}.",
    ]


def _cap(payout: PayoutView, sums: Sums, rates: Rates) -> list[str]:
    cap = sums.emission * rates.owner_cap_ppm // PPM
    gross = payout.presence + payout.sensing
    lines = [
        f"Most that one owner can earn: cap = floor({sums.emission} x {rates.owner_cap_ppm} / {PPM}) = {cap};"
        f" the owner's devices earn {sums.owner_all} together."
    ]
    if sums.owner_all > cap:
        before, after = sums.owner_before, sums.owner_before + gross
        formula = f"floor({cap} x {after} / {sums.owner_all}) - floor({cap} x {before} / {sums.owner_all})"
        lines += [
            f"That is more: of it before this one G0 = {before}; G1 = {before} + {gross} = {after}.",
            f"allowed = {formula} = {gross - payout.owner_cap}.",
        ]
    sum_of = f"{payout.presence} + {payout.sensing} - {payout.owner_cap}"
    return [
        *lines,
        f"owner cap = {gross} - {gross - payout.owner_cap} = {payout.owner_cap}.",
        f"paid = {sum_of} = {payout.paid}, which is {tokens(payout.paid)} tokens.",
    ]


def _vetting(payout: PayoutView, rates: Rates, enrolled_epoch: int) -> list[str]:
    since = f"Vetting, enrolled in epoch {enrolled_epoch}"
    if payout.epoch - enrolled_epoch < rates.vetting_epochs:
        formula = f"floor({payout.paid} x {rates.withheld_ppm} / {PPM})"
        return [f"{since}, for {rates.vetting_epochs} epochs: withheld = {formula} = {payout.withheld}."]
    over = f"{since}: over after {rates.vetting_epochs} epochs, nothing is withheld"
    return [f"{over}; withheld earlier and released now = {payout.released}." if payout.released else f"{over}."]


def _postings(payout: PayoutView) -> list[str]:
    kept = payout.paid - payout.withheld
    found = [
        ("emission to owner", "reward", f"{payout.paid} - {payout.withheld} = {kept}", kept),
        ("emission to what is withheld", "withheld", str(payout.withheld), payout.withheld),
        ("what is withheld to owner", "released", str(payout.released), payout.released),
        ("emission to treasury", "owner_cap", str(payout.owner_cap), payout.owner_cap),
    ]
    return [f"Posting, {way} ({code}): {text}." for way, code, text, amount in found if amount] or ["No posting."]
