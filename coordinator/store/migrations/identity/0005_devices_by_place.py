"""Devices by their place, for the map."""

from alembic import op

revision = "identity_0005"
down_revision = "identity_0004"


def upgrade() -> None:
    op.create_index("ix_devices_place_device", "devices", ["place", "device"])


def downgrade() -> None:
    op.drop_index("ix_devices_place_device", "devices")
