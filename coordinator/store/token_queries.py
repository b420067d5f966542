"""Enrolment tokens as the newest batch holds them."""

import sqlalchemy as sa

from coordinator.kernel.access import EnrolmentToken

from .schema import table_of
from .stores import Stores


async def newest_tokens(stores: Stores, limit: int) -> list[EnrolmentToken]:
    """Those that came last into the store, the newest first."""
    tokens = table_of("identity", "tokens")
    columns = (tokens.c[name] for name in ("token_key", "owner", "issued", "last_epoch", "used"))
    # SQLite numbers rows as they come, and keeps the number when a row changes: no index is needed, and none is sorted.
    newest = sa.select(*columns).order_by(sa.literal_column("rowid").desc()).limit(limit)
    return [EnrolmentToken(*row) for row in await stores.rows("identity", newest)]
