"""Running totals of payouts, with those of the epochs that are closed already."""

import sqlalchemy as sa
from alembic import op

revision = "rewards_0002"
down_revision = "rewards_0001"

AMOUNTS = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
WEIGHTS = ("presence_ppm", "sensing_ppm")
FILLING = (
    "INSERT INTO device_totals SELECT device, count(*), sum(presence), sum(sensing), sum(owner_cap), sum(paid),"
    " sum(withheld), sum(released) FROM payouts GROUP BY device",
    "INSERT INTO owner_totals SELECT owner, sum(presence), sum(sensing), sum(owner_cap), sum(paid), sum(withheld),"
    " sum(released) FROM payouts GROUP BY owner",
    "INSERT INTO owner_epochs SELECT owner, epoch, count(*), sum(presence), sum(sensing), sum(owner_cap), sum(paid),"
    " sum(withheld), sum(released) FROM payouts GROUP BY owner, epoch",
    "INSERT INTO payout_blocks SELECT epoch, substr(device, 1, 1), sum(presence_ppm), sum(sensing_ppm) FROM payouts"
    " GROUP BY epoch, substr(device, 1, 1)",
)


def upgrade() -> None:
    _create("device_totals", [("device", sa.LargeBinary())], ("epochs", *AMOUNTS))
    _create("owner_totals", [("owner", sa.LargeBinary())], AMOUNTS)
    _create("owner_epochs", [("owner", sa.LargeBinary()), ("epoch", sa.BigInteger())], ("devices", *AMOUNTS))
    _create("payout_blocks", [("epoch", sa.BigInteger()), ("block", sa.LargeBinary())], WEIGHTS)
    op.create_index("ix_owner_totals_paid", "owner_totals", ["paid"])
    for statement in FILLING:
        op.execute(statement)


def _create(name: str, keys: list[tuple[str, sa.BigInteger | sa.LargeBinary]], sums: tuple[str, ...]) -> None:
    op.create_table(
        name,
        *(sa.Column(key, kind, primary_key=True, autoincrement=False, nullable=False) for key, kind in keys),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in sums),
    )


def downgrade() -> None:
    for name in ("payout_blocks", "owner_epochs", "owner_totals", "device_totals"):
        op.drop_table(name)
