"""Running totals of records, so that no page adds up rows of devices x epochs.

They follow from the record tables alone and are written in the transaction that appends their rows: a total and its
parts are never apart. No batch depends on them.

    rewards   device_totals   device             all that a device was paid
              owner_totals    owner              all that an owner's devices were paid
              owner_epochs    owner, epoch       the same of one epoch
              epoch_totals    epoch              all that an epoch paid, by kind
              payout_blocks   epoch, block       weights of the devices whose id begins with that byte
              kept_back       epoch, reason      devices with a deduction
    presence  missed          epoch, reason      devices that were not always there
    sensing   unmeasured      epoch, reason      devices with reports that did not count
    ledger    posted          epoch, code        postings, and their amount
"""

from typing import Any, NamedTuple

import sqlalchemy as sa

AMOUNTS = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
WEIGHTS = ("presence_ppm", "sensing_ppm")
_BLOCK = "substr(device, 1, 1)"
_NUMBERED = ("epochs", "devices", "postings")  # counts of rows


class Total(NamedTuple):
    """Sums over the rows of a record table, by key. With `reasons`, a row counts under each whose condition holds."""

    name: str
    of: str
    keys: tuple[str, ...]
    sums: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...] = ()


def _counted(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, f"{name} > 0") for name in names)


_FAULTS = ("late", "out_of_bounds", "jump", "constant", "bad_readings", "nothing_measured")
TOTALS: dict[str, tuple[Total, ...]] = {
    "rewards": (
        Total("device_totals", "payouts", ("device",), ("epochs", *AMOUNTS)),
        Total("owner_totals", "payouts", ("owner",), AMOUNTS),
        Total("owner_epochs", "payouts", ("owner", "epoch"), ("devices", *AMOUNTS)),
        Total("epoch_totals", "payouts", ("epoch",), ("devices", *AMOUNTS)),
        Total("payout_blocks", "payouts", ("epoch", "block"), WEIGHTS),
        Total(
            "kept_back",
            "payouts",
            ("epoch", "reason"),
            ("devices",),
            (("owner_cap", "owner_cap > 0"), ("vetting", "withheld > 0"), ("released", "released > 0")),
        ),
    ),
    "presence": (
        Total(
            "missed",
            "presence",
            ("epoch", "reason"),
            ("devices",),
            (("absent", "windows_present = 0"), ("sometimes_absent", "windows_present BETWEEN 1 AND windows - 1")),
        ),
    ),
    "sensing": (Total("unmeasured", "sensing", ("epoch", "reason"), ("devices",), _counted(*_FAULTS)),),
    "ledger": (Total("posted", "postings", ("epoch", "code"), ("postings", "amount")),),
}


def declare(store: str, metadata: sa.MetaData) -> None:
    """Add the tables to the others of the store."""
    for total in TOTALS.get(store, ()):
        columns: list[sa.Column[Any]] = [_column(each, True) for each in total.keys]
        columns += [_column(each, False) for each in total.sums]
        sa.Table(total.name, metadata, *columns)
    if store == "rewards":
        owners = metadata.tables["owner_totals"].c
        sa.Index("ix_owner_totals_paid_owner", owners.paid, owners.owner)


def _column(name: str, is_key: bool) -> sa.Column[Any]:
    kinds: dict[str, Any] = dict.fromkeys(("device", "owner", "block"), sa.LargeBinary()) | {"reason": sa.Text()}
    return sa.Column(name, kinds.get(name, sa.BigInteger()), primary_key=is_key, nullable=False, autoincrement=False)


def _adding(total: Total) -> list[str]:
    """All names in it are our own."""
    return [_one(total, *reason) for reason in total.reasons] or [_one(total, "", "")]


def _one(total: Total, reason: str, condition: str) -> str:
    texts = {"block": _BLOCK, "reason": f"'{reason}'"}
    keys = [texts.get(key, key) for key in total.keys]
    values = ["count(*)" if each in _NUMBERED else f"sum({each})" for each in total.sums]
    raised = ", ".join(f"{each} = {total.name}.{each} + excluded.{each}" for each in total.sums)
    also = f" AND {condition}" if condition else ""
    return (
        f"INSERT INTO {total.name} ({', '.join(total.keys + total.sums)}) SELECT {', '.join(keys + values)}"  # noqa: S608
        f" FROM {total.of} WHERE rowid > ?{also} GROUP BY {', '.join(key for key in keys if key[0] != chr(39))}"
        f" ON CONFLICT ({', '.join(total.keys)}) DO UPDATE SET {raised}"
    )


ADDING: dict[str, tuple[tuple[str, str], ...]] = {
    store: tuple((total.of, statement) for total in made for statement in _adding(total))
    for store, made in TOTALS.items()
}
"""By store: record tables, and SQL that adds the rows behind a rowid, its parameter: SQLite counts them up."""


def newest_row(table: str) -> str:
    """SQL for the rowid behind which the next rows come."""
    return f"SELECT coalesce(max(rowid), 0) FROM {table}"  # noqa: S608 - our own names
