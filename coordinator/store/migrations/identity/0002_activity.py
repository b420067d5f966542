"""What changes with every statement of a device, apart from what hardly ever does."""

import sqlalchemy as sa
from alembic import op

revision = "identity_0002"
down_revision = "identity_0001"


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column("device", sa.LargeBinary(), primary_key=True, autoincrement=False, nullable=False),
        sa.Column("statements", sa.BigInteger(), nullable=False),
        sa.Column("last_slot", sa.BigInteger(), nullable=False),
    )
    op.execute("INSERT INTO activity SELECT device, statements, last_slot FROM devices")
    with op.batch_alter_table("devices") as devices:
        devices.drop_column("statements")
        devices.drop_column("last_slot")


def downgrade() -> None:
    with op.batch_alter_table("devices") as devices:
        devices.add_column(sa.Column("statements", sa.BigInteger(), nullable=False, server_default="0"))
        devices.add_column(sa.Column("last_slot", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE devices SET (statements, last_slot) ="
        " (SELECT statements, last_slot FROM activity WHERE activity.device = devices.device)"
    )
    op.drop_table("activity")
