"""The books: every posting of the batch, and the balance of every account. Debits equal credits, always."""

from collections.abc import Sequence

from coordinator.kernel.amounts import AMOUNT_MAX
from coordinator.kernel.module import Context, Effects, Module
from coordinator.kernel.postings import EMISSION
from coordinator.kernel.rows import rows_of
from coordinator.kernel.tables import I64, ID16, U8, U64, Column, Key, Row, Table

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
    held = rows_of(context.state, "balances")
    postings = context.reads["rewards"].findings
    held.prefetch(account for _, posting in postings for account in (posting.debit, posting.credit))
    changed: dict[Key, Row | None] = {}
    rows: list[Row] = []
    for epoch, posting in postings:
        for account, amount in ((posting.debit, -posting.amount), (posting.credit, posting.amount)):
            row = changed.get(account) or held.get(account) or (0,)
            changed[account] = (int(row[0]) + amount,)
        rows.append((epoch, *posting.debit, *posting.credit, posting.amount, posting.code))
    return Effects({"balances": changed}, {"postings": rows}, None)


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


MODULE = Module(
    name="ledger",
    version=1,
    reads=("rewards",),
    parameters=(),
    state=(BALANCES,),
    records=(POSTINGS,),
    held=(),
    partial=None,
    finish=finish,
    check=check,
)
