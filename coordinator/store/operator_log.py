"""What operators did, in the order they did it; nothing here changes or removes a row. And texts behind hashes."""

import hashlib
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from coordinator.kernel.access import ActionView, Visitor

from .access_schema import OPERATOR_LOG, TEXTS

WORDS_CHARS_MAX = 4000
Clock = Callable[[], float]


class OperatorLog:
    def __init__(self, engine: AsyncEngine, clock: Clock = time.time) -> None:
        self._engine = engine
        self._clock = clock

    async def add(self, visitor: Visitor, action: str, subject: str, reason: str = "", evidence: str = "") -> int:
        """Durable when it returns the row's number. What is too long is cut."""
        words = {"action": action, "subject": subject, "reason": reason, "evidence": evidence}
        row = {name: text[:WORDS_CHARS_MAX] for name, text in words.items()}
        row |= {"role": visitor.role, "name": visitor.name}
        async with self._engine.begin() as connection:
            made = await connection.execute(sa.insert(OPERATOR_LOG).values(time=int(self._clock()), **row))
        return int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0

    async def actions(self, before: int | None, limit: int, action: str = "") -> list[ActionView]:
        """The newest first, those numbered below `before`, of one kind if one is named."""
        wanted = sa.select(OPERATOR_LOG).order_by(OPERATOR_LOG.c.number.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(OPERATOR_LOG.c.number < before)
        if action:
            wanted = wanted.where(OPERATOR_LOG.c.action == action)
        async with self._engine.connect() as connection:
            return [ActionView(*row) for row in await connection.execute(wanted)]

    async def kinds(self) -> list[str]:
        """Every action that there is a row of."""
        wanted = sa.select(OPERATOR_LOG.c.action).distinct().order_by(OPERATOR_LOG.c.action)
        async with self._engine.connect() as connection:
            return [row[0] for row in await connection.execute(wanted)]


class Texts:
    """Words that batches hold the SHA-256 of: reasons, evidence, appeals, references of payments."""

    def __init__(self, engine: AsyncEngine, clock: Clock = time.time) -> None:
        self._engine = engine
        self._clock = clock

    async def put(self, text: str, account: bytes = b"") -> bytes:
        """The hash (32 bytes) of the text in UTF-8. `account` is the owner who may read it besides the operator."""
        digest = hashlib.sha256(text.encode()).digest()
        row = {"hash": digest, "account": account, "text": text, "made": int(self._clock())}
        async with self._engine.begin() as connection:
            await connection.execute(insert(TEXTS).on_conflict_do_nothing(), row)
        return digest

    async def get(self, digest: bytes) -> tuple[str, bytes] | None:
        """(text, account), None for a hash without one."""
        wanted = sa.select(TEXTS.c.text, TEXTS.c.account).where(TEXTS.c.hash == digest)
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).one_or_none()
        return (row[0], row[1]) if row else None
