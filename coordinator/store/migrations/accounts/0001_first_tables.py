"""The first tables of the accounts store."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "changes",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("name", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
    )
    op.create_table("meta", sa.Column("applied", sa.BigInteger(), nullable=False))
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("meta")
    op.drop_table("changes")
    op.drop_table("accounts")
