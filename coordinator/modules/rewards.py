"""From weights to money: the epoch's budget, split exactly.

    emission = budget, halved every `reward_halving_epochs`
    presence pool + sensing pool <= emission, each split by weight over the devices in good standing
    owner cap: what one owner's devices earn beyond it goes to the treasury, each device giving in proportion
    vetting: a part of a new device's pay is withheld, and released when it has been here long enough

What nobody earned goes to the treasury by a posting that says so. Quarantined devices earn nothing in the epoch that
closes, nor in one that was over before their quarantine was, and nothing withheld from them is released meanwhile. A
revoked device earns what it has proved until then.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from coordinator.kernel.amounts import AMOUNT_MAX, PPM, TOKEN, share_ppm, split
from coordinator.kernel.module import Context, Effects, Module
from coordinator.kernel.parameters import Parameter
from coordinator.kernel.postings import (
    CODE_OWNER_CAP,
    CODE_RELEASED,
    CODE_REPLACED,
    CODE_REWARD,
    CODE_UNEARNED,
    CODE_WITHHELD,
    EMISSION,
    NOBODY,
    OWNER,
    TREASURY,
    WITHHELD,
    Account,
    Posting,
)
from coordinator.kernel.rows import Overlaid, rows_of
from coordinator.kernel.standing import QUARANTINED
from coordinator.kernel.tables import I64, ID16, U32, U64, Column, Key, Row, Table

# PARAMETERS

PARAMETERS = (
    # At most a million tokens: the emission account then fits 64 bits for 9,223 epochs, and a fault stops it there.
    Parameter("reward_budget", 1_000 * TOKEN, 0, 1_000_000 * TOKEN, "base units issued in an epoch"),
    Parameter("reward_halving_epochs", 0, 0, 10**9, "the budget halves every so many epochs; 0 is never"),
    Parameter("reward_presence_ppm", 500_000, 0, PPM, "part of the budget for being up; the rest is for measuring"),
    Parameter("reward_owner_cap_ppm", 200_000, 1, PPM, "largest part of the budget that one owner can earn"),
    Parameter("reward_vetting_epochs", 7, 0, 10**6, "epochs during which a new device is vetted"),
    Parameter("reward_withheld_ppm", 250_000, 0, PPM, "part of the pay withheld during vetting"),
)

# TABLES

WITHHELD_FROM = Table("withheld", (Column("device", ID16), Column("amount", I64)), 1)
PAYOUTS = Table(
    "payouts",
    (
        Column("epoch", U64),
        Column("device", ID16),
        Column("owner", ID16),
        Column("presence", I64),
        Column("sensing", I64),
        Column("owner_cap", I64),
        Column("paid", I64),
        Column("withheld", I64),
        Column("released", I64),
        Column("presence_ppm", U32),
        Column("sensing_ppm", U32),
    ),
)
EPOCHS = Table(
    "epochs",
    (
        Column("epoch", U64),
        Column("emission", I64),
        Column("paid", I64),
        Column("treasury", I64),
        Column("devices", U32),
    ),
)
CAPS = Table("caps", (Column("epoch", U64), Column("owner", ID16), Column("earned", I64), Column("cap", I64)))


class Earned(NamedTuple):
    """One device's part of the pools, before the owner's cap."""

    device: bytes
    owner: bytes
    enrolled_slot: int
    good_standing: bool
    presence: int
    sensing: int
    presence_ppm: int
    sensing_ppm: int


# RULES


def finish(context: Context, _partials: Sequence[None]) -> Effects:
    records: dict[str, list[Row]] = {"payouts": [], "epochs": [], "caps": []}
    withheld: dict[Key, Row | None] = {}
    postings: list[tuple[int, Posting]] = []
    for epoch in context.frame.closing:
        _close(epoch, context, withheld, records, postings)
    _replaced(context, withheld, postings)
    return Effects({"withheld": withheld}, records, postings)


def _replaced(context: Context, withheld: dict[Key, Row | None], postings: list[tuple[int, Posting]]) -> None:
    """What is withheld from a device goes on to the one that has taken its place."""
    epoch = context.frame.parameters.calendar.epoch_of(context.frame.last_slot)
    held = Overlaid(rows_of(context.state, "withheld"), withheld)
    for old, new in context.reads["identity"].findings.replaced:
        row = held.get((old,))
        if row is None:
            continue
        before = held.get((new,)) or (0,)
        withheld[(old,)] = None
        withheld[(new,)] = (int(before[0]) + int(row[0]),)
        postings.append((epoch, Posting(Account(WITHHELD, old), Account(WITHHELD, new), int(row[0]), CODE_REPLACED)))


def emission_of(epoch: int, budget: int, halving_epochs: int) -> int:
    return budget >> min(epoch // halving_epochs, 63) if halving_epochs else budget


def _close(
    epoch: int,
    context: Context,
    withheld: dict[Key, Row | None],
    records: dict[str, list[Row]],
    postings: list[tuple[int, Posting]],
) -> None:
    parameters, calendar = context.frame.parameters, context.frame.parameters.calendar
    emission = emission_of(epoch, parameters.integer("reward_budget"), parameters.integer("reward_halving_epochs"))
    earned = _earned(epoch, emission, context)
    cap = share_ppm(emission, parameters.integer("reward_owner_cap_ppm"))
    deducted = _owner_caps(epoch, earned, cap, records["caps"])
    vetting = parameters.integer("reward_vetting_epochs")
    withheld_ppm = parameters.integer("reward_withheld_ppm")
    paid_total = 0
    source, treasury = Account(EMISSION, NOBODY), Account(TREASURY, NOBODY)
    before = Overlaid(rows_of(context.state, "withheld"), dict(withheld)).each((one.device,) for one in earned)
    for one, deduction, (key, row) in zip(earned, deducted, before, strict=True):
        paid = one.presence + one.sensing - deduction
        age = epoch - calendar.epoch_of(one.enrolled_slot)
        kept = share_ppm(paid, withheld_ppm) if age < vetting else 0
        held = int(row[0]) if row else 0
        released = held if age >= vetting and one.good_standing else 0
        if kept or released:
            after = held + kept - released
            withheld[key] = (after,) if after else None
        records["payouts"].append(
            (epoch, one.device, one.owner, one.presence, one.sensing, deduction, paid, kept, released)
            + (one.presence_ppm, one.sensing_ppm)
        )
        owner, reserve = Account(OWNER, one.owner), Account(WITHHELD, one.device)
        for posting in (
            Posting(source, owner, paid - kept, CODE_REWARD),
            Posting(source, reserve, kept, CODE_WITHHELD),
            Posting(reserve, owner, released, CODE_RELEASED),
            Posting(source, treasury, deduction, CODE_OWNER_CAP),
        ):
            if posting.amount:
                postings.append((epoch, posting))
        paid_total += paid
    unearned = emission - paid_total - sum(deducted)
    if unearned:
        postings.append((epoch, Posting(source, treasury, unearned, CODE_UNEARNED)))
    payees = sum(1 for one, deduction in zip(earned, deducted, strict=True) if one.presence + one.sensing > deduction)
    records["epochs"].append((epoch, emission, paid_total, emission - paid_total, payees))


def _earned(epoch: int, emission: int, context: Context) -> list[Earned]:
    """Both pools split over the devices that have a weight, in device order; the quarantined weigh nothing."""
    present: Mapping[bytes, int] = context.reads["presence"].findings[epoch]
    measured: Mapping[bytes, int] = context.reads["sensing"].findings[epoch]
    ids = sorted(present.keys() | measured.keys())
    declared: list[tuple[bytes, int, bool]] = []  # owner, enrolled_slot, good standing
    suspended = context.reads["identity"].findings.suspended.get(epoch, frozenset())
    for key, row in rows_of(context.reads["identity"].after, "devices").each((device,) for device in ids):
        assert row is not None, f"{key!r} is of no device"
        declared.append((row[1], row[3], row[8] != QUARANTINED and key[0] not in suspended))  # type: ignore[arg-type]
    presence_pool = share_ppm(emission, context.frame.parameters.integer("reward_presence_ppm"))
    presence_ppm = [present.get(device, 0) if one[2] else 0 for device, one in zip(ids, declared, strict=True)]
    sensing_ppm = [measured.get(device, 0) if one[2] else 0 for device, one in zip(ids, declared, strict=True)]
    presence = split(presence_pool, presence_ppm)
    sensing = split(emission - presence_pool, sensing_ppm)
    return [
        Earned(device, *one, *parts)
        for device, one, *parts in zip(ids, declared, presence, sensing, presence_ppm, sensing_ppm, strict=True)
    ]


def _owner_caps(epoch: int, earned: Sequence[Earned], cap: int, caps: list[Row]) -> list[int]:
    """What each device gives up so that no owner earns more than `cap`; each owner's devices in proportion."""
    by_owner: dict[bytes, list[int]] = {}
    for index, one in enumerate(earned):
        by_owner.setdefault(one.owner, []).append(index)
    deducted = [0] * len(earned)
    for owner in sorted(by_owner):
        indices = by_owner[owner]
        gross = [earned[index].presence + earned[index].sensing for index in indices]
        if sum(gross) <= cap:
            continue
        caps.append((epoch, owner, sum(gross), cap))
        for index, amount, allowed in zip(indices, gross, split(cap, gross), strict=True):
            deducted[index] = amount - allowed
    return deducted


# INVARIANTS


def check(_context: Context, effects: Effects) -> None:
    """Every payout is >= 0 and every epoch's postings out of the emission sum to it, to the base unit."""
    for row in effects.records["payouts"]:
        _, device, _, presence, sensing, owner_cap, paid, withheld, released, _, _ = row
        for amount in (presence, sensing, owner_cap, paid, withheld, released):
            assert 0 <= int(amount) <= AMOUNT_MAX, f"payout of {device!r}"
        assert paid == int(presence) + int(sensing) - int(owner_cap), f"parts of {device!r}"
    for epoch, emission, paid, treasury, _ in effects.records["epochs"]:
        issued = sum(p.amount for e, p in effects.findings if e == epoch and p.debit.kind == EMISSION)
        assert issued == emission == int(paid) + int(treasury), f"epoch {epoch!r} does not sum to its emission"


MODULE = Module(
    name="rewards",
    version=2,
    reads=("identity", "presence", "sensing"),
    parameters=PARAMETERS,
    state=(WITHHELD_FROM,),
    records=(PAYOUTS, EPOCHS, CAPS),
    held=(),
    partial=None,
    finish=finish,
    check=check,
)
