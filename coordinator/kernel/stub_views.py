"""What a pay stub says: one device, one epoch, line by line, down to the postings. Amounts are base units.

paid     = presence + sensing - owner_cap
credited = paid - withheld + released + corrections: what reached the owner's account
"""

from collections.abc import Sequence
from typing import NamedTuple

from .views import Explanation, PayoutView


class ShareLine(NamedTuple):
    """A share of a pool: windows x weight -> share of the pool -> amount. Weights are millionths of a full epoch."""

    code: str  # presence | sensing
    windows: int  # that counted
    windows_all: int  # of the epoch
    late: int  # reports that came late, each counting `late_ppm` of a window
    late_ppm: int
    weight_ppm: int
    weights_before: int  # of the devices before this one in the order of their ids
    weights_all: int  # of all devices
    pool: int
    amount: int
    text: str


class ChangeLine(NamedTuple):
    """A deduction (amount < 0) or an addition, with the reason's stable code."""

    code: str  # owner_cap | vetting | released | correction
    amount: int
    text: str


class PostingView(NamedTuple):
    """A posting of the ledger: row `number`, from 0, of the batch's file postings.rows."""

    batch: int
    number: int
    epoch: int
    debit: str  # kind of the account: emission | treasury | owner | withheld
    debit_holder: bytes
    credit: str
    credit_holder: bytes
    amount: int
    code: str


class StatementView(NamedTuple):
    """A statement of a device and what was said about it. One that is `ok` counts for the epoch of the beacon that it
    quotes, and so it may be received in the next; a late one counts for the epoch in which it was received."""

    boot: int
    seq: int
    slot: int
    quoted: int  # the beacon that it quotes, -1 for an unknown one
    batch: int
    code: int  # on the receipt
    verdict: str
    measured: str  # what sensing found, "" where it is no report
    epoch: int  # for which it counts
    id: bytes


class StubView(NamedTuple):
    device: bytes
    owner: bytes  # who owned it when the epoch closed; while it is open, who owns it now
    epoch: int
    state: str  # open | closed
    first_slot: int
    last_slot: int
    batch: int  # that closed the epoch, -1 while it is open
    header: bytes  # id of that batch's header, empty while it is open
    emission: int
    statements: int  # received in this epoch, or counting for it
    payout: PayoutView | None
    shares: Sequence[ShareLine]
    changes: Sequence[ChangeLine]
    paid: int
    credited: int
    postings: Sequence[PostingView]
    explanation: Explanation

    def lines(self) -> list[str]:
        """The stub as text: the same on the command line, in the API and on the page."""
        out = [one.text for one in self.shares]
        out += [one.text for one in self.changes if one.code in BEFORE_PAID]
        if self.shares or self.changes:
            out.append(f"= paid: {self.paid}")
        out += [one.text for one in self.changes if one.code not in BEFORE_PAID]
        if self.shares or self.changes:
            out.append(f"= credited to the owner: {self.credited}")
        return out


BEFORE_PAID = ("owner_cap",)
