"""Devices that were not always there, by epoch."""

import sqlalchemy as sa
from alembic import op

revision = "presence_0004"
down_revision = "presence_0003"

FILLING = (
    "INSERT INTO missed (epoch, reason, devices) SELECT epoch, 'absent', count(*)"
    " FROM presence WHERE rowid > 0 AND windows_present = 0 GROUP BY epoch",
    "INSERT INTO missed (epoch, reason, devices) SELECT epoch, 'sometimes_absent', count(*)"
    " FROM presence WHERE rowid > 0 AND windows_present BETWEEN 1 AND windows - 1 GROUP BY epoch",
)


def upgrade() -> None:
    op.create_table(
        "missed",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), primary_key=True, nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
    )
    for statement in FILLING:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("missed")
