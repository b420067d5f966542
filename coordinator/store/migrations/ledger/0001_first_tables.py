"""The first tables of the ledger store."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "balances",
        sa.Column("kind", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("holder", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("applied", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "postings",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("debit_kind", sa.BigInteger(), nullable=False),
        sa.Column("debit_holder", sa.LargeBinary(), nullable=False),
        sa.Column("credit_kind", sa.BigInteger(), nullable=False),
        sa.Column("credit_holder", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_postings_epoch", "postings", ["epoch"])
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("postings")
    op.drop_table("meta")
    op.drop_table("balances")
