"""Bitmaps begin with the byte of the first windows; until now they ended with it."""

import sqlalchemy as sa
from alembic import op

revision = "sensing_0003"
down_revision = "sensing_0002"


def upgrade() -> None:
    rows = op.get_bind().execute(sa.text("SELECT device, epoch, bitmap FROM tallies")).all()
    for device, epoch, bitmap in rows:
        op.get_bind().execute(
            sa.text("UPDATE tallies SET bitmap = :bitmap WHERE device = :device AND epoch = :epoch"),
            {"device": device, "epoch": epoch, "bitmap": bitmap[::-1]},
        )


downgrade = upgrade
