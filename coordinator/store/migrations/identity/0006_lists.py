"""Lists of devices by owner, standing, what they measure and silence walk along indexes."""

from alembic import op

revision = "identity_0006"
down_revision = "identity_0005"

DEVICES = (("owner", "device"), ("standing", "enrolled_slot", "device"), ("channels", "device"))


def upgrade() -> None:
    op.drop_index("ix_devices_owner", "devices")
    for columns in DEVICES:
        op.create_index(f"ix_devices_{'_'.join(columns)}", "devices", list(columns))
    op.create_index("ix_activity_last_slot_device", "activity", ["last_slot", "device"])


def downgrade() -> None:
    op.drop_index("ix_activity_last_slot_device", "activity")
    for columns in DEVICES:
        op.drop_index(f"ix_devices_{'_'.join(columns)}", "devices")
    op.create_index("ix_devices_owner", "devices", ["owner"])
