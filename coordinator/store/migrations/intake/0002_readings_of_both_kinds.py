"""Private readings lie beside the public ones, for their owner; each with the beacon from which its time counts.

What was stored before is public; the beacon that it quotes is at most one before its slot.
"""

import sqlalchemy as sa
from alembic import op

revision = "intake_0002"
down_revision = "intake_0001"


def upgrade() -> None:
    with op.batch_alter_table("readings") as readings:
        readings.add_column(sa.Column("quoted", sa.BigInteger(), nullable=True))
        readings.add_column(sa.Column("public", sa.BigInteger(), nullable=True))
    op.execute("UPDATE readings SET quoted = slot, public = 1")
    with op.batch_alter_table("readings") as readings:
        readings.alter_column("quoted", nullable=False)
        readings.alter_column("public", nullable=False)


def downgrade() -> None:
    op.execute("DELETE FROM readings WHERE public = 0")
    with op.batch_alter_table("readings") as readings:
        readings.drop_column("quoted")
        readings.drop_column("public")
