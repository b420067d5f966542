"""Devices with a deduction, by epoch and reason."""

import sqlalchemy as sa
from alembic import op

revision = "rewards_0003"
down_revision = "rewards_0002"

FILLING = (
    "INSERT INTO kept_back (epoch, reason, devices) SELECT epoch, 'owner_cap', count(*)"
    " FROM payouts WHERE rowid > 0 AND owner_cap > 0 GROUP BY epoch",
    "INSERT INTO kept_back (epoch, reason, devices) SELECT epoch, 'vetting', count(*)"
    " FROM payouts WHERE rowid > 0 AND withheld > 0 GROUP BY epoch",
    "INSERT INTO kept_back (epoch, reason, devices) SELECT epoch, 'released', count(*)"
    " FROM payouts WHERE rowid > 0 AND released > 0 GROUP BY epoch",
)


def upgrade() -> None:
    op.create_table(
        "kept_back",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), primary_key=True, nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
    )
    for statement in FILLING:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("kept_back")
