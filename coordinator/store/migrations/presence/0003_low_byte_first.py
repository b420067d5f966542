"""Bitmaps begin with the byte of the first windows; until now they ended with it."""

import sqlalchemy as sa
from alembic import op

revision = "presence_0003"
down_revision = "presence_0002"


def upgrade() -> None:
    rows = op.get_bind().execute(sa.text("SELECT device, epoch, bitmap FROM windows")).all()
    for device, epoch, bitmap in rows:
        op.get_bind().execute(
            sa.text("UPDATE windows SET bitmap = :bitmap WHERE device = :device AND epoch = :epoch"),
            {"device": device, "epoch": epoch, "bitmap": bitmap[::-1]},
        )


downgrade = upgrade
