"""Quarantines by the operator, which end, beside those of a copied key, which do not; and appeals."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0004"
down_revision = "identity_0003"

NEVER = 2**63 - 1


def upgrade() -> None:
    op.create_table(
        "quarantined",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("reason", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("last_epoch", sa.BigInteger(), nullable=False),
        sa.Column("since_batch", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "quarantine_ends",
        sa.Column("last_epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("since_batch", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "appealed",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("since_batch", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_appealed_text", "appealed", ["text"])
    op.execute(f"INSERT INTO quarantined SELECT device, 0, proof, {NEVER}, batch FROM quarantines WHERE true")  # noqa: S608
    op.rename_table("quarantines", "quarantines_before")
    op.drop_index("ix_quarantines_device", "quarantines_before")
    op.create_table(
        "quarantines",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("last_epoch", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_quarantines_device", "quarantines", ["device"])
    op.execute(f"INSERT INTO quarantines SELECT batch, device, 0, proof, {NEVER} FROM quarantines_before")  # noqa: S608
    op.drop_table("quarantines_before")
    op.create_table(
        "lifts",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_lifts_device", "lifts", ["device"])
    op.create_table(
        "appeals",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_appeals_device", "appeals", ["device"])


def downgrade() -> None:
    op.drop_table("appeals")
    op.drop_table("lifts")
    op.rename_table("quarantines", "quarantines_before")
    op.drop_index("ix_quarantines_device", "quarantines_before")
    op.create_table(
        "quarantines",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_quarantines_device", "quarantines", ["device"])
    op.execute("INSERT INTO quarantines SELECT batch, device, 7, evidence FROM quarantines_before WHERE reason = 0")
    op.drop_table("quarantines_before")
    op.drop_table("appealed")
    op.drop_table("quarantine_ends")
    op.drop_table("quarantined")
