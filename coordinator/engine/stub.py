"""The pay stub of one device and epoch, from the same evidence as its explanation.

Every amount stands once in the payout's row; what this adds is how it came about, and what became of it. A stub that
does not add up is a fault, found here before anybody sees it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.amounts import PPM, tokens
from coordinator.kernel.stub_views import BEFORE_PAID, ChangeLine, PostingView, ShareLine, StubView
from coordinator.kernel.views import EpochView, PayoutView

from .explain import Evidence, explain


class Correction(NamedTuple):
    """Paid later for this epoch, by the operator, from the treasury; usually to the owner."""

    account: bytes
    amount: int
    reason: str


def pay_stub(
    found: Evidence,
    epoch: EpochView,
    statements: int,
    postings: Sequence[PostingView] = (),
    corrections: Sequence[Correction] = (),
) -> StubView:
    """`postings` are those of this payout and its corrections."""
    payout = found.payout
    owner = payout.owner if payout else found.device.owner
    shares = _shares(found, payout) if payout is not None else []
    changes = _changes(payout) if payout is not None else []
    changes += [_corrected(one, owner) for one in corrections]
    paid = sum(one.amount for one in shares) + _sum(changes, True)
    assert paid == (payout.paid if payout else 0), f"stub of {found.device.device.hex()} in epoch {epoch.number}"
    return StubView(
        device=found.device.device,
        owner=owner,
        epoch=epoch.number,
        state="closed" if found.closed else "open",
        first_slot=epoch.first_slot,
        last_slot=epoch.last_slot,
        batch=epoch.batch,
        header=epoch.header,
        emission=epoch.emission,
        statements=statements,
        payout=payout,
        shares=shares,
        changes=changes,
        paid=paid,
        credited=paid + _sum(changes, False),
        postings=postings,
        explanation=explain(found),
    )


def _sum(changes: Sequence[ChangeLine], before_paid: bool) -> int:
    return sum(one.amount for one in changes if (one.code in BEFORE_PAID) == before_paid)


def _shares(found: Evidence, payout: PayoutView) -> list[ShareLine]:
    sums, rates = found.sums, found.rates
    if sums is None:
        return []
    pool = sums.emission * rates.presence_ppm // PPM
    measured, late = found.sensing.get("windows_measured", 0), found.sensing.get("late", 0)
    of = f"of {found.windows} windows"
    late_text = f" and {late} late" if late else ""
    presence = (found.windows_present, found.windows, 0, 0, payout.presence_ppm, sums.presence_before)
    sensing = (measured, found.windows, late, rates.late_ppm, payout.sensing_ppm, sums.sensing_before)
    return [
        ShareLine(
            "presence",
            *presence,
            sums.presence_all,
            pool,
            payout.presence,
            _share_text(f"Present in {found.windows_present} {of}", payout.presence_ppm, sums.presence_all, pool)
            + f": presence {payout.presence}",
        ),
        ShareLine(
            "sensing",
            *sensing,
            sums.sensing_all,
            sums.emission - pool,
            payout.sensing,
            _share_text(
                f"Measured in {measured} {of}{late_text}",
                payout.sensing_ppm,
                sums.sensing_all,
                sums.emission - pool,
            )
            + f": sensing {payout.sensing}",
        ),
    ]


def _share_text(what: str, weight: int, weights: int, pool: int) -> str:
    return f"{what}, weight {weight}; its share of the pool {pool} is {weight} of {weights} weights"


def _changes(payout: PayoutView) -> list[ChangeLine]:
    lines = [
        ("owner_cap", -payout.owner_cap, "over the most that one owner can earn, to the treasury (owner_cap)"),
        ("vetting", -payout.withheld, "withheld while the device is vetted (vetting)"),
        ("released", payout.released, "withheld earlier and released now (released)"),
    ]
    return [ChangeLine(code, amount, _change_text(amount, text)) for code, amount, text in lines if amount]


def _corrected(one: Correction, owner: bytes) -> ChangeLine:
    to = "" if one.account == owner else f" to account {one.account.hex()}"
    text = _change_text(one.amount, f"corrected by the operator{to} ({one.reason})")
    return ChangeLine("correction", one.amount, text)


def _change_text(amount: int, text: str) -> str:
    return f"{'+' if amount > 0 else '-'} {abs(amount)} {text}; {tokens(abs(amount))} tokens"
