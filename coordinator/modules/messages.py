"""What became of every owner message: the one published verdict, whichever module gave it."""

from collections.abc import Sequence
from typing import Any

from coordinator.kernel.module import Effects, Module, Snapshot
from coordinator.kernel.tables import HASH32, ID16, U8, U64, Column, Table

# TABLES

OWNER_VERDICTS = Table(
    "owner_verdicts",
    (Column("account", ID16), Column("nonce", U64), Column("kind", U8), Column("id", HASH32), Column("code", U8)),
)

# RULES


def partial(_lane: Sequence[Any], _snapshot: Snapshot) -> None:
    """Statements have their verdicts from identity."""


def finish(snapshot: Snapshot, _partials: Sequence[None]) -> Effects:
    codes = {
        **snapshot.reads["accounts"].findings.codes,
        **snapshot.reads["identity"].findings.owner,
        **snapshot.reads["ledger"].findings,
    }
    rows = [(one.account, one.nonce, one.kind, one.id, codes[one.id]) for one in snapshot.frame.owner_messages]
    return Effects({}, {"owner_verdicts": list(rows)}, None)


# INVARIANTS


def check(snapshot: Snapshot, _effects: Effects) -> None:
    """No two modules have judged one message."""
    given = [
        len(snapshot.reads["accounts"].findings.codes),
        len(snapshot.reads["identity"].findings.owner),
        len(snapshot.reads["ledger"].findings),
    ]
    assert sum(given) == len(snapshot.frame.owner_messages), "not one verdict a message"


MODULE = Module(
    name="messages",
    version=1,
    reads=("accounts", "identity", "ledger"),
    parameters=(),
    state=(),
    records=(OWNER_VERDICTS,),
    partial=partial,
    finish=finish,
    check=check,
)
