"""What became of every owner message: the one published verdict, whichever module gave it."""

from collections.abc import Sequence

from coordinator.kernel.module import Context, Effects, Module
from coordinator.kernel.tables import HASH32, ID16, U8, U64, Column, Table

# TABLES

OWNER_VERDICTS = Table(
    "owner_verdicts",
    (Column("account", ID16), Column("nonce", U64), Column("kind", U8), Column("id", HASH32), Column("code", U8)),
)

# RULES


def finish(context: Context, _partials: Sequence[None]) -> Effects:
    codes = {
        **context.reads["accounts"].findings.codes,
        **context.reads["identity"].findings.owner,
        **context.reads["ledger"].findings,
    }
    rows = [(one.account, one.nonce, one.kind, one.id, codes[one.id]) for one in context.frame.owner_messages]
    return Effects({}, {"owner_verdicts": list(rows)}, None)


# INVARIANTS


def check(context: Context, _effects: Effects) -> None:
    """No two modules have judged one message."""
    given = [
        len(context.reads["accounts"].findings.codes),
        len(context.reads["identity"].findings.owner),
        len(context.reads["ledger"].findings),
    ]
    assert sum(given) == len(context.frame.owner_messages), "not one verdict a message"


MODULE = Module(
    name="messages",
    version=1,
    reads=("accounts", "identity", "ledger"),
    parameters=(),
    state=(),
    records=(OWNER_VERDICTS,),
    held=(),
    partial=None,
    finish=finish,
    check=check,
)
