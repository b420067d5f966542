"""Postings of an epoch in the order of their codes."""

from alembic import op

revision = "ledger_0005"
down_revision = "ledger_0004"


def upgrade() -> None:
    op.drop_index("ix_postings_epoch", "postings")
    op.create_index("ix_postings_epoch_code", "postings", ["epoch", "code"])


def downgrade() -> None:
    op.drop_index("ix_postings_epoch_code", "postings")
    op.create_index("ix_postings_epoch", "postings", ["epoch"])
