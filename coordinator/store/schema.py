"""SQL tables made from what the modules declare, one store (one database) a module, and one for the intake.

A record table has the number of its batch in front. Every store has `meta`, whose `applied` is the last batch in it.
"""

from typing import Any

import sqlalchemy as sa

from coordinator.engine.packing import REFUSALS
from coordinator.kernel.tables import BLOB, I64, ID16, U8, U32, U64, Column, Table
from coordinator.modules import MODULES

from . import totals

# The intake's own store. What it holds is not part of any batch: readings may be private, and counts of what had no
# good signature are only the coordinator's word.
MEMORIES = Table(
    "memories",
    (Column("device", ID16), Column("boot", U32), Column("seq", U32), Column("sets", BLOB), Column("runs", BLOB)),
    1,
)
REFUSED = Table("refused", (Column("device", ID16), Column("code", U8), Column("count", U64)), 2)
REASONS = Table("reasons", (Column("code", U8), Column("count", U64)), 1)
READINGS = Table(
    "readings",
    (
        Column("device", ID16),
        Column("slot", U64),
        Column("boot", U32),
        Column("seq", U32),
        Column("dt_ms", I64),  # since the device had the beacon `quoted`
        Column("row", BLOB),
        Column("quoted", I64),
        Column("public", U8),
    ),
)
INTAKE = "intake"

STATE: dict[str, tuple[Table, ...]] = {module.name: module.state for module in MODULES}
STATE[INTAKE] = (MEMORIES, REFUSED, REASONS)
RECORDS: dict[str, tuple[Table, ...]] = {module.name: module.records for module in MODULES}
RECORDS[INTAKE] = (READINGS, REFUSALS)

# What pages and explanations look up, and the epochs that rules close.
INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "devices": (
        ("owner", "device"),
        ("standing", "enrolled_slot", "device"),
        ("channels", "device"),
        ("place", "device"),
    ),
    "activity": (("last_slot", "device"),),
    "owner_verdicts": (("id",), ("account", "nonce")),
    "windows": (("epoch", "device"),),
    "tallies": (("epoch", "device"),),
    "verdicts": (("device", "slot"),),
    "quarantines": (("device",),),
    "lifts": (("device",),),
    "appeals": (("device",),),
    "appealed": (("text",),),
    "told": (("device", "code", "boot", "seq"),),
    "presence": (("device", "epoch"),),
    "sensing": (("device", "epoch"),),
    "payouts": (("device", "epoch"), ("epoch", "device"), ("owner", "epoch", "device")),
    "epochs": (("epoch",),),
    "caps": (("owner", "epoch"),),
    "postings": (("epoch", "code"), ("batch",), ("credit_holder", "epoch"), ("debit_holder", "epoch")),
    "corrections": (("account",), ("device", "epoch")),
    "settlements": (("account",),),
    "readings": (("device", "slot"),),
    "refusals": (("device", "slot"),),
}


def sql_type(column: Column) -> sa.LargeBinary | sa.BigInteger:
    return sa.LargeBinary() if column.type == BLOB or column.type.endswith("s") else sa.BigInteger()


def _table(metadata: sa.MetaData, table: Table) -> sa.Table:
    columns: list[sa.Column[Any]] = []
    if not table.key:
        columns.append(sa.Column("batch", sa.BigInteger(), nullable=False))
    for index, column in enumerate(table.columns):
        is_key = index < table.key
        columns.append(
            sa.Column(column.name, sql_type(column), primary_key=is_key, nullable=False, autoincrement=False)
        )
    made = sa.Table(table.name, metadata, *columns)
    for names in INDEXES.get(table.name, ()):
        sa.Index(f"ix_{table.name}_{'_'.join(names)}", *(made.c[name] for name in names))
    return made


def _metadata(store: str) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("meta", metadata, sa.Column("applied", sa.BigInteger(), nullable=False))
    for table in (*STATE[store], *RECORDS[store]):
        _table(metadata, table)
    totals.declare(store, metadata)
    return metadata


METADATA: dict[str, sa.MetaData] = {store: _metadata(store) for store in STATE}


def table_of(store: str, name: str) -> sa.Table:
    return METADATA[store].tables[name]
