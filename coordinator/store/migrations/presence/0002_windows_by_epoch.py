"""The windows of one epoch, found without looking at those of the others."""

from alembic import op

revision = "presence_0002"
down_revision = "presence_0001"


def upgrade() -> None:
    op.create_index("ix_windows_epoch_device", "windows", ["epoch", "device"])


def downgrade() -> None:
    op.drop_index("ix_windows_epoch_device", "windows")
