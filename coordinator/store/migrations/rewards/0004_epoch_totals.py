"""What each epoch paid, by kind."""

import sqlalchemy as sa
from alembic import op

revision = "rewards_0004"
down_revision = "rewards_0003"

AMOUNTS = ("presence", "sensing", "owner_cap", "paid", "withheld", "released")
FILLING = (
    "INSERT INTO epoch_totals SELECT epoch, sum(devices), sum(presence), sum(sensing), sum(owner_cap), sum(paid),"
    " sum(withheld), sum(released) FROM owner_epochs GROUP BY epoch"
)


def upgrade() -> None:
    op.create_table(
        "epoch_totals",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in ("devices", *AMOUNTS)),
    )
    op.execute(FILLING)


def downgrade() -> None:
    op.drop_table("epoch_totals")
