"""The first tables of the intake store."""

import sqlalchemy as sa
from alembic import op

revision = "intake_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "memories",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sets", sa.LargeBinary(), nullable=False),
        sa.Column("runs", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("applied", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "readings",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("dt_ms", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_readings_device_slot", "readings", ["device", "slot"])
    op.create_table(
        "reasons",
        sa.Column("code", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "refusals",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id8", sa.LargeBinary(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_refusals_device_slot", "refusals", ["device", "slot"])
    op.create_table(
        "refused",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("code", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
    )
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("refused")
    op.drop_table("refusals")
    op.drop_table("reasons")
    op.drop_table("readings")
    op.drop_table("meta")
    op.drop_table("memories")
