"""The tallies of one epoch, found without looking at those of the others."""

from alembic import op

revision = "sensing_0002"
down_revision = "sensing_0001"


def upgrade() -> None:
    op.create_index("ix_tallies_epoch_device", "tallies", ["epoch", "device"])


def downgrade() -> None:
    op.drop_index("ix_tallies_epoch_device", "tallies")
