"""The first tables of the presence store."""

import sqlalchemy as sa
from alembic import op

revision = "presence_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("applied", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "presence",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("windows_present", sa.BigInteger(), nullable=False),
        sa.Column("windows", sa.BigInteger(), nullable=False),
        sa.Column("weight_ppm", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_presence_device_epoch", "presence", ["device", "epoch"])
    op.create_table(
        "windows",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("bitmap", sa.LargeBinary(), nullable=False),
    )
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("windows")
    op.drop_table("presence")
    op.drop_table("meta")
