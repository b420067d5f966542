"""Transfers of tokens in columns: which of them can be paid, exactly as if they were executed one by one.

The rule is the plain one: in canonical order, a transfer is paid if its sender holds the amount at that moment. Most of
it needs no order. An account that sends no more in the whole batch than it held before can pay all of it, whenever it
comes; so only accounts that send more than that are *contended*. Their transfers fall into groups that share no
contended account, and those groups are the lanes:

    prepare(columns)                    -> Prepared     accounts as small numbers
    lanes_of_transfers(prepared, ...)   -> Schedule     what is paid for sure, and at most so many lanes for the rest
    executed(lane)                      -> paid         one lane in order; lanes share nothing
    finished(schedule, partials)        -> paid         of every transfer
    settled(prepared, balances, paid)   -> balances     after them

Sums are exact: amounts are added in halves of 32 bits, and nothing is a float beyond 2^53.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from coordinator.kernel.postings import CODE_TRANSFER, OWNER

TRANSFERS = np.dtype([("account", "V16"), ("nonce", "u8"), ("to", "V16"), ("amount", "i8"), ("id", "V32")])
LANE_ROWS_MIN = 200_000  # below that a lane costs more to hand over than to execute
_CHUNK = 1 << 20  # of 32-bit numbers whose sum a float holds exactly
_LOW = 0xFFFFFFFF

Columns = npt.NDArray[Any]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Prepared(NamedTuple):
    """Transfers in canonical order; `debit` and `credit` are indices into `accounts` (V16, ascending)."""

    accounts: Columns
    debit: Numbers
    credit: Numbers
    amount: Numbers


class Lane(NamedTuple):
    """Some transfers in their order, between accounts of their own. Index -1 stands for any account whose order does
    not matter: as a debit it can pay, as a credit nobody asks."""

    debit: Numbers
    credit: Numbers
    amount: Numbers
    balances: Numbers  # of the lane's own accounts before the batch


class Schedule(NamedTuple):
    """`paid` is right for every transfer outside the lanes; positions[i] are those of lanes[i]."""

    paid: Flags
    lanes: list[Lane]
    positions: list[Numbers]


def columns_of(rows: Iterable[tuple[bytes, int, bytes, int, bytes]]) -> Columns:
    """Transfers (account, nonce, to, amount, id) as columns."""
    return np.fromiter(rows, dtype=TRANSFERS)


def prepare(columns: Columns) -> Prepared:
    """Number the accounts of transfers (dtype TRANSFERS, canonical order)."""
    count = len(columns)
    ids = np.concatenate([columns["account"], columns["to"]])
    halves = np.frombuffer(ids.tobytes(), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    first, inverse = np.unique(halves[:, 0], return_inverse=True)
    of_first = np.empty(len(first), dtype=np.int64)
    of_first[inverse] = np.arange(len(ids))
    if not np.array_equal(halves[of_first[inverse], 1], halves[:, 1]):
        # Two accounts agree in their first half, which takes somebody who wants that: all 16 bytes, at more cost.
        _, of_first, inverse = np.unique(halves, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    return Prepared(ids[of_first], inverse[:count], inverse[count:], columns["amount"].astype(np.int64))


def lanes_of_transfers(prepared: Prepared, balances: Numbers, count: int) -> Schedule:
    """Decide what needs no order and cut the rest into at most `count` lanes of similar size.

    `balances` are those of prepared.accounts before the batch, none below zero. The cut depends on nothing but the
    arguments, and no result depends on the cut.
    """
    accounts = len(prepared.accounts)
    high, low = _totals(prepared.debit, prepared.amount, accounts)
    held_high, held_low = balances >> 32, balances & _LOW
    contended = (high > held_high) | ((high == held_high) & (low > held_low))
    paid = np.ones(len(prepared.debit), dtype=np.bool_)
    from_one, to_one = contended[prepared.debit], contended[prepared.credit]
    rows = np.flatnonzero(from_one | to_one)
    if not from_one.any():
        return Schedule(paid, [], [])
    own = np.flatnonzero(contended)
    number = np.full(accounts, -1, dtype=np.int64)
    number[own] = np.arange(len(own))
    debit, credit = number[prepared.debit[rows]], number[prepared.credit[rows]]
    both = (debit >= 0) & (credit >= 0)
    group = _groups(len(own), debit[both], credit[both])
    group_of_row = group[np.where(debit >= 0, debit, credit)]
    lane_of_group = _cut(np.bincount(group_of_row, minlength=len(own)), min(count, len(rows) // LANE_ROWS_MIN))
    lane_of_row, lane_of_own = lane_of_group[group_of_row], lane_of_group[group]
    lanes, positions = [], []
    for lane in range(int(lane_of_row.max()) + 1):
        chosen = np.flatnonzero(lane_of_row == lane)
        members = np.flatnonzero(lane_of_own == lane)
        local = np.full(len(own) + 1, -1, dtype=np.int64)  # the last stands for -1
        local[members] = np.arange(len(members))
        amount = prepared.amount[rows[chosen]]
        lanes.append(Lane(local[debit[chosen]], local[credit[chosen]], amount, balances[own[members]]))
        positions.append(rows[chosen])
    return Schedule(paid, lanes, positions)


def executed(lane: Lane) -> Flags:
    """Whether each transfer of a lane is paid: one after the other."""
    balances = [*lane.balances.tolist(), 1 << 200]  # the last is found at -1
    paid = []
    for debit, credit, amount in zip(lane.debit.tolist(), lane.credit.tolist(), lane.amount.tolist(), strict=True):
        if balances[debit] < amount:
            paid.append(False)
            continue
        balances[debit] -= amount
        balances[credit] += amount
        paid.append(True)
    return np.array(paid, dtype=np.bool_)


def finished(schedule: Schedule, partials: Sequence[Flags]) -> Flags:
    """Whether each transfer is paid; partials[i] is what `executed` said of lanes[i]."""
    paid = schedule.paid.copy()
    for positions, found in zip(schedule.positions, partials, strict=True):
        paid[positions] = found
    return paid


def settled(prepared: Prepared, balances: Numbers, paid: Flags) -> Numbers:
    """Balances of prepared.accounts after the paid transfers. What fits 64 bits in the end may pass them on the way."""
    accounts, amount = len(prepared.accounts), prepared.amount[paid]
    moved = _wrapped(*_totals(prepared.credit[paid], amount, accounts))
    moved -= _wrapped(*_totals(prepared.debit[paid], amount, accounts))
    return (balances.astype(np.uint64) + moved).astype(np.int64)


def touched(prepared: Prepared, paid: Flags) -> list[int]:
    """Indices of the accounts that a paid transfer names, ascending."""
    named = np.concatenate([prepared.debit[paid], prepared.credit[paid]])
    return np.unique(named).tolist()  # type: ignore[no-any-return]


def _totals(index: Numbers, amount: Numbers, count: int) -> tuple[Numbers, Numbers]:
    """Sum of the amounts at each index as (high, low), low < 2^32; high has room for 2^32 amounts."""
    high, low = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for at in range(0, len(index), _CHUNK):
        part, value = index[at : at + _CHUNK], amount[at : at + _CHUNK]
        high += np.bincount(part, weights=value >> 32, minlength=count).astype(np.int64)
        low += np.bincount(part, weights=value & _LOW, minlength=count).astype(np.int64)
    return high + (low >> 32), low & _LOW


def _wrapped(high: Numbers, low: Numbers) -> npt.NDArray[np.uint64]:
    """Modulo 2^64."""
    return (high.astype(np.uint64) << np.uint64(32)) + low.astype(np.uint64)


def _groups(count: int, left: Numbers, right: Numbers) -> Numbers:
    """Connected components of an undirected graph: for each node the smallest node of its own.

    Every root with a smaller neighbour hooks itself below it, then all paths are halved until they are flat; a round
    leaves at most half of the roots of each component.
    """
    label = np.arange(count)
    while True:
        before = label.copy()
        of_left, of_right = label[left], label[right]
        smaller = np.minimum(of_left, of_right)
        np.minimum.at(label, of_left, smaller)
        np.minimum.at(label, of_right, smaller)
        while not np.array_equal(label, label[label]):
            label = label[label]
        if np.array_equal(label, before):
            return label


def _cut(sizes: Numbers, count: int) -> Numbers:
    """The lane of each group: groups in their order, so many rows a lane as equally as they allow."""
    count = max(1, count)
    begins = np.cumsum(sizes) - sizes
    lane = begins * count // max(1, int(sizes.sum()))
    used, dense = np.unique(lane[sizes > 0], return_inverse=True)
    found = np.zeros(len(sizes), dtype=np.int64)
    found[sizes > 0] = dense.reshape(-1)
    assert len(used) <= count, "more lanes than were asked for"
    return found


POSTED = np.dtype(
    [
        ("epoch", ">u8"),
        ("debit_kind", "u1"),
        ("debit", "V16"),
        ("credit_kind", "u1"),
        ("credit", "V16"),
        ("amount", ">i8"),
        ("code", "u1"),
    ]
)


def posted(columns: Columns, paid: Flags, epoch: int) -> Columns:
    """Postings of the paid transfers; their bytes are the rows of the table `postings`."""
    chosen = columns[paid]
    made = np.zeros(len(chosen), dtype=POSTED)
    made["epoch"], made["code"] = epoch, CODE_TRANSFER
    made["debit_kind"] = made["credit_kind"] = OWNER
    made["debit"], made["credit"], made["amount"] = chosen["account"], chosen["to"], chosen["amount"]
    return made
