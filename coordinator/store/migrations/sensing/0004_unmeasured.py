"""Devices with reports that did not count, by epoch and reason."""

import sqlalchemy as sa
from alembic import op

revision = "sensing_0004"
down_revision = "sensing_0003"

FILLING = (
    "INSERT INTO unmeasured (epoch, reason, devices) SELECT epoch, 'late', count(*)"
    " FROM sensing WHERE rowid > 0 AND late > 0 GROUP BY epoch",
    "INSERT INTO unmeasured (epoch, reason, devices) SELECT epoch, 'out_of_bounds', count(*)"
    " FROM sensing WHERE rowid > 0 AND out_of_bounds > 0 GROUP BY epoch",
    "INSERT INTO unmeasured (epoch, reason, devices) SELECT epoch, 'jump', count(*)"
    " FROM sensing WHERE rowid > 0 AND jump > 0 GROUP BY epoch",
    "INSERT INTO unmeasured (epoch, reason, devices) SELECT epoch, 'constant', count(*)"
    " FROM sensing WHERE rowid > 0 AND constant > 0 GROUP BY epoch",
    "INSERT INTO unmeasured (epoch, reason, devices) SELECT epoch, 'bad_readings', count(*)"
    " FROM sensing WHERE rowid > 0 AND bad_readings > 0 GROUP BY epoch",
    "INSERT INTO unmeasured (epoch, reason, devices) SELECT epoch, 'nothing_measured', count(*)"
    " FROM sensing WHERE rowid > 0 AND nothing_measured > 0 GROUP BY epoch",
)


def upgrade() -> None:
    op.create_table(
        "unmeasured",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), primary_key=True, nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
    )
    for statement in FILLING:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("unmeasured")
