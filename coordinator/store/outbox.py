"""What owners are to be told: durable before anything is sent, in one transaction with the note that it was told."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from coordinator.kernel.telling import Waiting

from .access_schema import CONTACTS, OUTBOX, TOLD

WAITING_MAX = 10_000
KEPT_S = 90 * 86_400  # that something was told


class Outbox:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def untold(self, contact: int, whats: Sequence[str]) -> set[str]:
        """Those of some things that a contact was not told yet."""
        found = set(whats)
        async with self._engine.connect() as connection:
            for at in range(0, len(whats), 500):
                some = sa.select(TOLD.c.what).where(TOLD.c.contact == contact, TOLD.c.what.in_(whats[at : at + 500]))
                found -= {row[0] for row in await connection.execute(some)}
        return found

    async def put(self, contact: int, body: str, whats: Sequence[str], now: int) -> bool:
        """Durable when it returns; False where too much waits."""
        async with self._engine.begin() as connection:
            waiting = await connection.scalar(sa.select(sa.func.count()).select_from(OUTBOX))
            if (waiting or 0) >= WAITING_MAX:
                return False
            row = {"contact": contact, "body": body, "tries": 0, "due": now, "made": now}
            await connection.execute(sa.insert(OUTBOX).values(**row))
            told = [{"contact": contact, "what": what, "made": now} for what in whats]
            await connection.execute(sa.insert(TOLD), told)
            await connection.execute(sa.delete(TOLD).where(TOLD.c.made < now - KEPT_S))
        return True

    async def due(self, now: int, limit: int) -> list[Waiting]:
        """The oldest first. What waits for a contact that was taken away goes without being sent."""
        async with self._engine.begin() as connection:
            gone = sa.delete(OUTBOX).where(OUTBOX.c.contact.not_in(sa.select(CONTACTS.c.id)))
            await connection.execute(gone)
            columns = (
                OUTBOX.c.id,
                OUTBOX.c.contact,
                CONTACTS.c.kind,
                CONTACTS.c.address,
                OUTBOX.c.body,
                OUTBOX.c.tries,
            )
            both = sa.select(*columns).join(CONTACTS, CONTACTS.c.id == OUTBOX.c.contact).where(OUTBOX.c.due <= now)
            rows = (await connection.execute(both.order_by(OUTBOX.c.due, OUTBOX.c.id).limit(limit))).all()
        return [Waiting(*row) for row in rows]

    async def done(self, number: int) -> None:
        """Sent, or given up."""
        async with self._engine.begin() as connection:
            await connection.execute(sa.delete(OUTBOX).where(OUTBOX.c.id == number))

    async def again(self, number: int, tries: int, due: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(sa.update(OUTBOX).where(OUTBOX.c.id == number).values(tries=tries, due=due))

    async def stop(self, contact: int) -> bool:
        """Whoever has the link of a notice takes its contact away."""
        async with self._engine.begin() as connection:
            found = await connection.execute(sa.delete(CONTACTS).where(CONTACTS.c.id == contact))
        return found.rowcount > 0
