"""The first tables of the sensing store."""

import sqlalchemy as sa
from alembic import op

revision = "sensing_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("applied", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "sensing",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("windows_measured", sa.BigInteger(), nullable=False),
        sa.Column("windows", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("out_of_bounds", sa.BigInteger(), nullable=False),
        sa.Column("jump", sa.BigInteger(), nullable=False),
        sa.Column("constant", sa.BigInteger(), nullable=False),
        sa.Column("bad_readings", sa.BigInteger(), nullable=False),
        sa.Column("nothing_measured", sa.BigInteger(), nullable=False),
        sa.Column("weight_ppm", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_sensing_device_epoch", "sensing", ["device", "epoch"])
    op.create_table(
        "tallies",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("bitmap", sa.LargeBinary(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("out_of_bounds", sa.BigInteger(), nullable=False),
        sa.Column("jump", sa.BigInteger(), nullable=False),
        sa.Column("constant", sa.BigInteger(), nullable=False),
        sa.Column("bad_readings", sa.BigInteger(), nullable=False),
        sa.Column("nothing_measured", sa.BigInteger(), nullable=False),
    )
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("tallies")
    op.drop_table("sensing")
    op.drop_table("meta")
