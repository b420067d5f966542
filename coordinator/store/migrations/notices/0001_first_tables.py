"""The first tables of the notices store."""

import sqlalchemy as sa
from alembic import op

revision = "notices_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("code", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "told",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_told_device_code_boot_seq", "told", ["device", "code", "boot", "seq"])
    op.create_table("meta", sa.Column("applied", sa.BigInteger(), nullable=False))
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("meta")
    op.drop_index("ix_told_device_code_boot_seq", "told")
    op.drop_table("told")
    op.drop_table("notices")
