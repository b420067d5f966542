"""Payouts of an owner in an epoch by device, and owners by what they were paid, page by page."""

from alembic import op

revision = "rewards_0005"
down_revision = "rewards_0004"


def upgrade() -> None:
    op.drop_index("ix_payouts_owner_epoch", "payouts")
    op.create_index("ix_payouts_owner_epoch_device", "payouts", ["owner", "epoch", "device"])
    op.drop_index("ix_owner_totals_paid", "owner_totals")
    op.create_index("ix_owner_totals_paid_owner", "owner_totals", ["paid", "owner"])


def downgrade() -> None:
    op.drop_index("ix_owner_totals_paid_owner", "owner_totals")
    op.create_index("ix_owner_totals_paid", "owner_totals", ["paid"])
    op.drop_index("ix_payouts_owner_epoch_device", "payouts")
    op.create_index("ix_payouts_owner_epoch", "payouts", ["owner", "epoch"])
