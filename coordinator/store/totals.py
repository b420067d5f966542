"""Running totals of payouts, so that no page adds up rows of devices x epochs.

They follow from the table `payouts` alone and are written in the transaction that appends its rows: a total and its
parts are never apart. No batch depends on them.

    device_totals   device               all that a device was paid
    owner_totals    owner                all that an owner's devices were paid
    owner_epochs    owner, epoch         the same of one epoch
    payout_blocks   epoch, block         weights of the devices whose id begins with that byte
"""

from typing import Any

import sqlalchemy as sa

STORE = "rewards"
AMOUNTS = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
WEIGHTS = ("presence_ppm", "sensing_ppm")
_BLOCK = "substr(device, 1, 1)"
_COUNTS = ("epochs", "devices")  # of rows
# Name -> key columns, sums.
_TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "device_totals": (("device",), ("epochs", *AMOUNTS)),
    "owner_totals": (("owner",), AMOUNTS),
    "owner_epochs": (("owner", "epoch"), ("devices", *AMOUNTS)),
    "payout_blocks": (("epoch", "block"), WEIGHTS),
}


def declare(metadata: sa.MetaData) -> None:
    """Add the tables to the others of the store."""
    for name, (keys, sums) in _TABLES.items():
        columns: list[sa.Column[Any]] = [_column(each, True) for each in keys]
        columns += [_column(each, False) for each in sums]
        sa.Table(name, metadata, *columns)
    sa.Index("ix_owner_totals_paid", metadata.tables["owner_totals"].c.paid)


def _column(name: str, is_key: bool) -> sa.Column[Any]:
    is_number = name not in ("device", "owner", "block")
    kind = sa.BigInteger() if is_number else sa.LargeBinary()
    return sa.Column(name, kind, primary_key=is_key, nullable=False, autoincrement=False)


def _adding(name: str) -> str:
    """Adds the payouts of one epoch, whose number is the parameter. All names in it are our own."""
    keys, sums = _TABLES[name]
    found = [_BLOCK if key == "block" else key for key in keys]
    values = ["count(*)" if each in _COUNTS else f"sum({each})" for each in sums]
    raised = ", ".join(f"{each} = {name}.{each} + excluded.{each}" for each in sums)
    return (
        f"INSERT INTO {name} ({', '.join(keys + sums)}) SELECT {', '.join(found + values)} FROM payouts"  # noqa: S608
        f" WHERE epoch = ? GROUP BY {', '.join(found)} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {raised}"
    )


ADDING = tuple(_adding(name) for name in _TABLES)
"""SQL that adds the payouts of an epoch, once an epoch: its rows come in one batch."""
