"""Accounts and the verdicts on owner messages have modules of their own; the keys that devices have given up."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0003"
down_revision = "identity_0002"


def upgrade() -> None:
    op.drop_table("accounts")
    op.drop_table("owner_verdicts")
    op.create_table(
        "former_keys",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("public_keys", sa.LargeBinary(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("former_keys")
    op.create_table(
        "owner_verdicts",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("account", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
    )
