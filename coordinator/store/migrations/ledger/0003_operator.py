"""What the operator does to balances: corrections, and settlements that no reference makes twice."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0003"
down_revision = "ledger_0002"


def upgrade() -> None:
    op.create_table(
        "settled",
        sa.Column("reference", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "corrections",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_corrections_account", "corrections", ["account"])
    op.create_index("ix_corrections_device_epoch", "corrections", ["device", "epoch"])
    op.create_table(
        "settlements",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_settlements_account", "settlements", ["account"])


def downgrade() -> None:
    op.drop_table("settlements")
    op.drop_table("corrections")
    op.drop_table("settled")
