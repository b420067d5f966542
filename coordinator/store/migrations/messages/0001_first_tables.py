"""The first tables of the messages store."""

import sqlalchemy as sa
from alembic import op

revision = "messages_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "owner_verdicts",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_owner_verdicts_id", "owner_verdicts", ["id"])
    op.create_index("ix_owner_verdicts_account_nonce", "owner_verdicts", ["account", "nonce"])
    op.create_table("meta", sa.Column("applied", sa.BigInteger(), nullable=False))
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("meta")
    op.drop_table("owner_verdicts")
