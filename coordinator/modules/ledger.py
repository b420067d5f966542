"""The books: every posting of the batch, and the balance of every account. Debits equal credits, always.

What the operator does to balances comes first, then transfers between owners in the order of (account, nonce, id), both
against what the accounts held before the batch; one that cannot be paid is refused and moves nothing. The rewards of
the batch are posted behind them.
"""

from collections.abc import Sequence

import numpy as np

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel.amounts import AMOUNT_MAX
from coordinator.kernel.module import Context, Effects, Module, OwnerRow
from coordinator.kernel.postings import CODE_TRANSFER, EMISSION, OWNER
from coordinator.kernel.rows import Overlaid, Rows, rows_of
from coordinator.kernel.tables import I64, ID16, U8, U64, Column, Key, Row, Table
from device_client.core import verdicts

from . import ledger_operator, transfers
from .ledger_operator import CORRECTIONS, SETTLED_REFERENCES, SETTLEMENTS

# TABLES

BALANCES = Table("balances", (Column("kind", U8), Column("holder", ID16), Column("balance", I64)), 2)
POSTINGS = Table(
    "postings",
    (
        Column("epoch", U64),
        Column("debit_kind", U8),
        Column("debit_holder", ID16),
        Column("credit_kind", U8),
        Column("credit_holder", ID16),
        Column("amount", I64),
        Column("code", U8),
    ),
)

# RULES


def finish(context: Context, _partials: Sequence[None]) -> Effects:
    """Findings: the verdict on each message that moves money, by its id."""
    held = rows_of(context.state, "balances")
    calendar = context.frame.parameters.calendar
    last_slot = context.frame.last_slot
    epoch = calendar.epoch_of(last_slot)
    accepted = context.reads["accounts"].findings.accepted
    messages = [one for kind in kinds.MONEY_KINDS for one in accepted.get(kind, ())]
    devices = rows_of(context.reads["identity"].after, "devices")
    references = rows_of(context.state, "settled")
    before = ledger_operator.Before(held, references, devices, calendar, last_slot)
    done = ledger_operator.operated(messages, before)
    rows: list[Row] = [(epoch, *one.debit, *one.credit, one.amount, one.code) for one in done.postings]
    changed = dict(done.balances)
    balances = Overlaid(held, done.balances) if done.balances else held
    after, paid, codes = _transferred(accepted.get(kinds.TRANSFER, []), balances, epoch)
    changed.update(after)
    rows += paid
    postings = context.reads["rewards"].findings
    held.prefetch(account for _, posting in postings for account in (posting.debit, posting.credit))
    for epoch, posting in postings:
        for account, amount in ((posting.debit, -posting.amount), (posting.credit, posting.amount)):
            row = changed.get(account) or held.get(account) or (0,)
            changed[account] = (int(row[0]) + amount,)
        rows.append((epoch, *posting.debit, *posting.credit, posting.amount, posting.code))
    delta: dict[str, dict[Key, Row | None]] = {"balances": changed}
    if done.references:
        delta["settled"] = done.references
    records = {"postings": rows, "corrections": done.corrections, "settlements": done.settlements}
    return Effects(delta, records, {**done.codes, **codes})


def _transferred(
    messages: Sequence[OwnerRow], held: Rows, epoch: int
) -> tuple[dict[Key, Row | None], list[Row], dict[bytes, int]]:
    """Balances that change, postings and verdicts of transfers in canonical order."""
    if not messages:
        return {}, [], {}
    columns = transfers.columns_of((one.account, one.nonce, *one.body, one.id) for one in messages)
    prepared = transfers.prepare(columns)
    keys: list[Key] = [(OWNER, account.tobytes()) for account in prepared.accounts]
    before = np.array([int(row[0]) if row else 0 for _, row in held.each(keys)], dtype=np.int64)
    schedule = transfers.lanes_of_transfers(prepared, before, 1)
    paid = transfers.finished(schedule, [transfers.executed(lane) for lane in schedule.lanes])
    after = transfers.settled(prepared, before, paid).tolist()
    touched = transfers.touched(prepared, paid)
    changed: dict[Key, Row | None] = {keys[at]: (after[at],) for at in touched}
    rows: list[Row] = []
    codes: dict[bytes, int] = {}
    for one, is_paid in zip(messages, paid.tolist(), strict=True):
        codes[one.id] = verdicts.OK if is_paid else verdicts.INSUFFICIENT_BALANCE
        if is_paid:
            rows.append((epoch, OWNER, one.account, OWNER, *one.body, CODE_TRANSFER))
    return changed, rows, codes


# INVARIANTS


def check(context: Context, effects: Effects) -> None:
    """Amounts are positive, balances sum to zero and only the emission account is below it."""
    for row in effects.records["postings"]:
        assert 0 < int(row[5]) <= AMOUNT_MAX, f"posting of {row[5]!r}"
    moved = 0
    for key, row_after in effects.delta["balances"].items():
        before = context.state.get("balances", {}).get(key, (0,))
        assert row_after is not None
        balance = int(row_after[0])
        moved += balance - int(before[0])
        assert abs(balance) <= AMOUNT_MAX, f"balance of {key!r} beyond 64 bits"
        assert balance >= 0 or key[0] == EMISSION, f"{key!r} is overdrawn"
    assert moved == 0, "debits and credits differ"
    ledger_operator.check(context.state, effects)


MODULE = Module(
    name="ledger",
    version=2,
    reads=("accounts", "identity", "rewards"),
    parameters=(),
    state=(BALANCES, SETTLED_REFERENCES),
    records=(POSTINGS, CORRECTIONS, SETTLEMENTS),
    held=(),
    partial=None,
    finish=finish,
    check=check,
)
