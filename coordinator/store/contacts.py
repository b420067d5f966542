"""Where owners want to be told that a device went silent or that an epoch was paid."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from coordinator.kernel.access import ContactView, Person, TooMany

from .access_schema import CONTACTS

CONTACTS_MAX = 10  # of one person


class Contacts:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, person: Person, kind: str, address: str, events: frozenset[str], now: int) -> int:
        """Its number. Raises TooMany."""
        row = {"person": person.id, "account": person.account, "kind": kind, "address": address, "made": now}
        mine = sa.select(sa.func.count()).select_from(CONTACTS).where(CONTACTS.c.person == person.id)
        async with self._engine.begin() as connection:
            if (await connection.scalar(mine) or 0) >= CONTACTS_MAX:
                raise TooMany(f"no more than {CONTACTS_MAX} of these")
            made = await connection.execute(sa.insert(CONTACTS).values(events=" ".join(sorted(events)), **row))
        return int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0

    async def of_person(self, person: bytes) -> list[ContactView]:
        return await self._found(CONTACTS.c.person == person)

    async def of_account(self, account: bytes) -> list[ContactView]:
        """What whoever sends notices asks for."""
        return await self._found(CONTACTS.c.account == account)

    async def accounts(self) -> list[bytes]:
        """Every account that wants to be told anything."""
        async with self._engine.connect() as connection:
            return [row[0] for row in await connection.execute(sa.select(CONTACTS.c.account).distinct())]

    async def remove(self, number: int, person: bytes) -> bool:
        gone = sa.delete(CONTACTS).where(CONTACTS.c.id == number, CONTACTS.c.person == person)
        async with self._engine.begin() as connection:
            return (await connection.execute(gone)).rowcount > 0

    async def _found(self, which: sa.ColumnElement[bool]) -> list[ContactView]:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(sa.select(CONTACTS).where(which).order_by(CONTACTS.c.id))).all()
        return [ContactView(**{**row._mapping, "events": frozenset(row.events.split())}) for row in rows]
