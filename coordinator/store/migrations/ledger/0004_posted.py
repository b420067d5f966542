"""Postings of an epoch by code."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0004"
down_revision = "ledger_0003"

FILLING = (
    "INSERT INTO posted (epoch, code, postings, amount) SELECT epoch, code, count(*), sum(amount)"
    " FROM postings WHERE rowid > 0 GROUP BY epoch, code",
)


def upgrade() -> None:
    op.create_table(
        "posted",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("code", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("postings", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    for statement in FILLING:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("posted")
