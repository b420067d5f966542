"""The first tables of the rewards store."""

import sqlalchemy as sa
from alembic import op

revision = "rewards_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "caps",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("earned", sa.BigInteger(), nullable=False),
        sa.Column("cap", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_caps_owner_epoch", "caps", ["owner", "epoch"])
    op.create_table(
        "epochs",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("emission", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("treasury", sa.BigInteger(), nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_epochs_epoch", "epochs", ["epoch"])
    op.create_table(
        "meta",
        sa.Column("applied", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "payouts",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("presence", sa.BigInteger(), nullable=False),
        sa.Column("sensing", sa.BigInteger(), nullable=False),
        sa.Column("owner_cap", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("withheld", sa.BigInteger(), nullable=False),
        sa.Column("released", sa.BigInteger(), nullable=False),
        sa.Column("presence_ppm", sa.BigInteger(), nullable=False),
        sa.Column("sensing_ppm", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_payouts_device_epoch", "payouts", ["device", "epoch"])
    op.create_index("ix_payouts_epoch_device", "payouts", ["epoch", "device"])
    op.create_index("ix_payouts_owner_epoch", "payouts", ["owner", "epoch"])
    op.create_table(
        "withheld",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("withheld")
    op.drop_table("payouts")
    op.drop_table("meta")
    op.drop_table("epochs")
    op.drop_table("caps")
