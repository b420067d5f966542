"""The first tables of the identity store."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "chains",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("boot", sa.BigInteger(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("first_slot", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("ids", sa.LargeBinary(), nullable=False),
        sa.Column("gaps", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "devices",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("token_key", sa.LargeBinary(), nullable=False),
        sa.Column("enrolled_slot", sa.BigInteger(), nullable=False),
        sa.Column("interval_s", sa.BigInteger(), nullable=False),
        sa.Column("readings_public", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("channels", sa.LargeBinary(), nullable=False),
        sa.Column("standing", sa.BigInteger(), nullable=False),
        sa.Column("since_batch", sa.BigInteger(), nullable=False),
        sa.Column("statements", sa.BigInteger(), nullable=False),
        sa.Column("last_slot", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_devices_owner", "devices", ["owner"])
    op.create_table(
        "meta",
        sa.Column("applied", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "owner_verdicts",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "quarantines",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_quarantines_device", "quarantines", ["device"])
    op.create_table(
        "tokens",
        sa.Column("token_key", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("issued", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("last_epoch", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "verdicts",
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("boot", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("quoted", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("measured", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_verdicts_device_slot", "verdicts", ["device", "slot"])
    op.execute("INSERT INTO meta (applied) VALUES (-1)")


def downgrade() -> None:
    op.drop_table("verdicts")
    op.drop_table("tokens")
    op.drop_table("quarantines")
    op.drop_table("owner_verdicts")
    op.drop_table("meta")
    op.drop_table("devices")
    op.drop_table("chains")
    op.drop_table("accounts")
