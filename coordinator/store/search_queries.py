"""What is found by its hash: headers and statements. Neither has an index.

An index of statements by id would cost more than the table itself (ADR 0038); what people look for is new. So the
newest are looked at: headers in the log, whose entries name the header before them, statements from the end of their
table.
"""

import asyncio

import sqlalchemy as sa

from coordinator.engine.header import parse_header
from coordinator.engine.log import BUNDLE, TILE_HASHES, Tile, entries
from coordinator.kernel.filters import StatementPlace

from .reads import Reads
from .schema import table_of

BUNDLES_LOOKED_AT = 256  # with so many times 256 headers
STATEMENTS_LOOKED_AT = 50_000
ROWID: sa.ColumnElement[int] = sa.literal_column("verdicts.rowid", sa.BigInteger())


class SearchQueries(Reads):
    async def header_batch(self, header: bytes) -> int | None:
        """The batch of a header's id, among the newest."""
        return await asyncio.to_thread(self._header_batch, header)

    def _header_batch(self, header: bytes) -> int | None:
        newest = self._log_files.size() - 1
        if newest < 0:
            return None
        if self._header_id(newest) == header:
            return newest
        last = newest // TILE_HASHES
        for number in range(last, max(-1, last - BUNDLES_LOOKED_AT), -1):
            width = min(TILE_HASHES, newest + 1 - number * TILE_HASHES)
            data = self._log_files.tile(Tile(BUNDLE, number, width))
            if data is None or header not in data:
                continue
            for index, entry in enumerate(entries(data)):
                if parse_header(entry).previous == header and number + index > 0:
                    return number * TILE_HASHES + index - 1
        return None

    async def statement_place(self, statement: bytes) -> StatementPlace | None:
        """Where a statement stands, among the newest."""
        table = table_of("identity", "verdicts")
        newest = await self._one("identity", sa.select(sa.func.max(ROWID)).select_from(table))
        if newest is None or newest[0] is None:
            return None
        wanted = sa.select(table.c.device, table.c.boot, table.c.seq, table.c.slot).where(
            newest[0] - STATEMENTS_LOOKED_AT < ROWID, table.c.id == statement
        )
        row = await self._one("identity", wanted.order_by(ROWID.desc()))
        if row is None:
            return None
        return StatementPlace(row.device, row.boot, row.seq, self._calendar.epoch_of(row.slot))
