"""Notices to owners: those that wait to be sent, and what each contact was told already."""

import sqlalchemy as sa
from alembic import op

revision = "access_0002"
down_revision = "access_0001"


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), primary_key=True, nullable=False, autoincrement=True),
        sa.Column("contact", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_outbox_due", "outbox", ["due"])
    op.create_table(
        "told",
        sa.Column("contact", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), primary_key=True, nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_told_made", "told", ["made"])


def downgrade() -> None:
    op.drop_table("told")
    op.drop_table("outbox")
