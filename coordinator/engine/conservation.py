"""Whether the books of a batch, as they were published, balance: told apart from whether they are right."""

from collections import Counter
from collections.abc import Iterable, Mapping

from coordinator.kernel.postings import CODE_CORRECTION, CODE_SETTLED, EMISSION, WITHHELD
from coordinator.kernel.tables import Value

from .diagnose_rows import TABLES

BOOKS = ("postings.rows", "payouts.rows", "epochs.rows", "corrections.rows", "settlements.rows")


def imbalance(files: Mapping[str, bytes]) -> str:
    """The first epoch closed in this batch whose sums differ, or else what the operator moved, in words; empty when all
    balance.

    Emission = paid + treasury = what the postings take from the emission account; paid = the sum of the payouts; and
    what leaves the withheld accounts = what the payouts release. Corrections and settlements sum to their postings.
    Raises ValueError for files that are not whole rows.
    """
    postings, payouts, epochs, corrections, settlements = (TABLES[name].unpack(files.get(name, b"")) for name in BOOKS)
    issued = _sums((row[0], row[5]) for row in postings if row[1] == EMISSION)
    paid_out = _sums((row[0], row[6]) for row in payouts)
    freed = _sums((row[0], row[5]) for row in postings if row[1] == WITHHELD)
    released = _sums((row[0], row[8]) for row in payouts)
    for row in epochs:
        epoch, emission, paid, treasury = (int(value) for value in row[:4])
        if emission != paid + treasury:
            return f"epoch {epoch} does not balance: emission {emission}, paid {paid}, treasury {treasury}"
        if issued[epoch] != emission:
            return f"epoch {epoch} does not balance: emission {emission}, its postings issue {issued[epoch]}"
        if paid_out[epoch] != paid:
            return f"epoch {epoch} does not balance: paid {paid}, its payouts sum to {paid_out[epoch]}"
        if freed[epoch] != released[epoch]:
            told = f"released {released[epoch]}, its postings release {freed[epoch]}"
            return f"epoch {epoch} does not balance: {told}"
    for name, code, rows, at in (
        ("corrections", CODE_CORRECTION, corrections, 3),
        ("settlements", CODE_SETTLED, settlements, 1),
    ):
        posted, moved = sum(int(row[5]) for row in postings if row[6] == code), sum(int(row[at]) for row in rows)
        if posted != moved:
            return f"{name} do not balance: they sum to {moved}, their postings to {posted}"
    return ""


def _sums(rows: Iterable[tuple[Value, Value]]) -> Counter[int]:
    sums: Counter[int] = Counter()
    for epoch, amount in rows:
        sums[int(epoch)] += int(amount)
    return sums
