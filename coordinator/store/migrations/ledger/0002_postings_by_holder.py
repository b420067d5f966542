"""Pages look postings up by account and by batch."""

from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"


def upgrade() -> None:
    op.create_index("ix_postings_batch", "postings", ["batch"])
    op.create_index("ix_postings_credit_holder_epoch", "postings", ["credit_holder", "epoch"])
    op.create_index("ix_postings_debit_holder_epoch", "postings", ["debit_holder", "epoch"])


def downgrade() -> None:
    for name in ("batch", "credit_holder_epoch", "debit_holder_epoch"):
        op.drop_index(f"ix_postings_{name}", "postings")
