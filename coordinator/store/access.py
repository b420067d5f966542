"""Who may sign in: people, invitations, sessions, API tokens and passkeys, in a store of its own beside the modules'.

Every secret is 32 random bytes as base64url, told once and looked up by its SHA-256: nothing compares secrets, so
nothing leaks by how long it takes. Times are arguments, in unix seconds.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from coordinator.kernel.access import (
    ABSOLUTE_S,
    IDLE_S,
    OWNER,
    SCOPES_OF,
    ApiTokenView,
    PasskeyView,
    Person,
    SessionView,
    TooMany,
)

from .access_schema import ACCESS, API_TOKENS, INVITATIONS, PASSKEYS, PEOPLE, SEEDS, SESSIONS, SPENT
from .home import Home
from .migrate import migrate
from .reading import Reading

SECRET_BYTES = 32
TOKEN_PREFIX = "et_"  # noqa: S105 - so that scanners find a token that was committed by mistake
TOUCH_S = 60  # a session's last use is written down at most so often
SESSIONS_MAX = 20  # of one person; the oldest ends
TOKENS_MAX = 50
PASSKEYS_MAX = 20
CHALLENGES = "challenges"


def fingerprint(secret: str, prefix: str = "") -> bytes | None:
    """SHA-256 of the bytes of a secret, None for what cannot be one."""
    text = secret.removeprefix(prefix)
    if len(text) != 43 or (prefix and not secret.startswith(prefix)):
        return None
    try:
        found = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # One text for each secret: the last character has two bits to spare.
    return hashlib.sha256(found).digest() if _text_of(found) == text else None


def _text_of(secret: bytes) -> str:
    return base64.urlsafe_b64encode(secret).decode().rstrip("=")


def _new_secret() -> tuple[str, bytes]:
    """(text, SHA-256) of a new secret."""
    made = secrets.token_bytes(SECRET_BYTES)
    return _text_of(made), hashlib.sha256(made).digest()


class AccessStore:
    """Open with `await AccessStore.open(home)`, end with `close`. May be open in several processes at once."""

    def __init__(self, engine: AsyncEngine, path: Path) -> None:
        self.engine = engine
        # What every request of a session or a token asks.
        self._reading = Reading({ACCESS: path})

    @classmethod
    async def open(cls, home: Home) -> "AccessStore":
        """Raises OSError."""
        path = home.store(ACCESS)
        await asyncio.to_thread(_make, path)
        return cls.at(path)

    @classmethod
    def at(cls, path: Path) -> "AccessStore":
        """One whose tables are the newest already."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        sa.event.listen(engine.sync_engine, "connect", _set_pragmas)
        return cls(engine, path)

    async def close(self) -> None:
        await self._reading.close()
        await self.engine.dispose()

    # PEOPLE AND INVITATIONS

    async def person(self, role: str, account: bytes, name: str, now: int) -> Person:
        """The one of this role, account and name; it is made if there is none. An owner's name is not looked at."""
        name = account.hex() if role == OWNER else name
        async with self.engine.begin() as connection:
            made = {"id": secrets.token_bytes(16), "role": role, "account": account, "name": name, "made": now}
            await connection.execute(insert(PEOPLE).on_conflict_do_nothing(), made)
            one = PEOPLE.c.role == role, PEOPLE.c.account == account, PEOPLE.c.name == name
            row = (await connection.execute(_PERSON.where(*one))).one()
        return Person(*row)

    async def people(self) -> list[Person]:
        async with self.engine.connect() as connection:
            return [Person(*row) for row in await connection.execute(_PERSON.order_by(PEOPLE.c.role, PEOPLE.c.name))]

    async def invite(self, person: Person, now: int, lifetime_s: int) -> str:
        """The code of a link that signs this person in once."""
        code, digest = _new_secret()
        async with self.engine.begin() as connection:
            await connection.execute(sa.delete(INVITATIONS).where(INVITATIONS.c.ends <= now))
            await connection.execute(
                sa.insert(INVITATIONS), {"id": digest, "person": person.id, "ends": now + lifetime_s}
            )
        return code

    async def redeem(self, code: str, now: int) -> Person | None:
        """Whose invitation it is; from now on it is nobody's. None for one that is unknown, used or over."""
        digest = fingerprint(code)
        if digest is None:
            return None
        async with self.engine.begin() as connection:
            used = sa.delete(INVITATIONS).where(INVITATIONS.c.id == digest)
            row = (await connection.execute(used.returning(INVITATIONS.c.person, INVITATIONS.c.ends))).one_or_none()
            if row is None or row.ends <= now:
                return None
            found = (await connection.execute(_PERSON.where(PEOPLE.c.id == row.person))).one_or_none()
        return Person(*found) if found else None

    async def remove_person(self, person: bytes) -> None:
        """Everything by which the person could sign in, and the person."""
        async with self.engine.begin() as connection:
            for table in (SESSIONS, API_TOKENS, PASSKEYS, INVITATIONS):
                await connection.execute(sa.delete(table).where(table.c.person == person))
            await connection.execute(sa.delete(PEOPLE).where(PEOPLE.c.id == person))

    # SESSIONS

    async def open_session(self, person: Person, means: str, now: int) -> str:
        """The secret for the cookie."""
        secret, digest = _new_secret()
        row = {"id": digest, "person": person.id, "means": means, "made": now, "used": now, "ends": now + ABSOLUTE_S}
        mine = sa.select(SESSIONS.c.id).where(SESSIONS.c.person == person.id).order_by(SESSIONS.c.made.desc())
        async with self.engine.begin() as connection:
            await connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.ends <= now))
            await connection.execute(sa.insert(SESSIONS), row)
            older = mine.offset(SESSIONS_MAX).limit(SESSIONS_MAX)
            await connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.id.in_(older)))
        return secret

    async def session(self, secret: str, now: int) -> SessionView | None:
        """The session of a cookie, and it has been used now; None for one that is unknown or over."""
        digest = fingerprint(secret)
        if digest is None:
            return None
        rows = await self._reading.rows(ACCESS, _SESSION.where(SESSIONS.c.id == digest))
        found = _session(rows[0]) if rows else None
        if found is None or _is_over(found, now):
            return None
        if now - found.used >= TOUCH_S:
            await self._touch(SESSIONS, digest, now)
        return found

    async def sessions(self, person: bytes | None, now: int) -> list[SessionView]:
        """Those that are not over, of one person or of all, the newest first."""
        wanted = _SESSION.order_by(SESSIONS.c.made.desc())
        if person is not None:
            wanted = wanted.where(SESSIONS.c.person == person)
        async with self.engine.connect() as connection:
            found = [_session(row) for row in await connection.execute(wanted)]
        return [one for one in found if not _is_over(one, now)]

    async def end_session(self, session: bytes, person: bytes | None = None) -> bool:
        """Whether there was one with this id, and of this person if one is given."""
        ended = sa.delete(SESSIONS).where(SESSIONS.c.id == session)
        return await self._changed(ended if person is None else ended.where(SESSIONS.c.person == person))

    async def end_sessions(self, person: bytes | None) -> int:
        """How many there were, of one person or of all."""
        ended = sa.delete(SESSIONS)
        async with self.engine.begin() as connection:
            result = await connection.execute(ended if person is None else ended.where(SESSIONS.c.person == person))
        return result.rowcount

    # API TOKENS

    async def new_token(self, person: Person, name: str, scopes: frozenset[str], now: int, lifetime_s: int) -> str:
        """The token, told once. Raises TooMany."""
        assert scopes <= SCOPES_OF[person.role], "more than the person may"
        secret, digest = _new_secret()
        row = {"id": digest, "person": person.id, "name": name, "scopes": " ".join(sorted(scopes)), "made": now}
        async with self.engine.begin() as connection:
            await connection.execute(sa.delete(API_TOKENS).where(API_TOKENS.c.ends <= now - ABSOLUTE_S))
            await _bounded(connection, API_TOKENS, person.id, TOKENS_MAX)
            await connection.execute(sa.insert(API_TOKENS), {**row, "ends": now + lifetime_s, "used": -1})
        return TOKEN_PREFIX + secret

    async def token(self, secret: str, now: int) -> ApiTokenView | None:
        """The token, and it has been used now; None for one that is unknown or over."""
        digest = fingerprint(secret, TOKEN_PREFIX)
        if digest is None:
            return None
        rows = await self._reading.rows(ACCESS, _TOKEN.where(API_TOKENS.c.id == digest))
        found = _token(rows[0]) if rows else None
        if found is None or found.ends <= now:
            return None
        if now - found.used >= TOUCH_S:
            await self._touch(API_TOKENS, digest, now)
        return found

    async def tokens(self, person: bytes | None) -> list[ApiTokenView]:
        """Also those that are over, for a month; the newest first."""
        wanted = _TOKEN.order_by(API_TOKENS.c.made.desc())
        if person is not None:
            wanted = wanted.where(API_TOKENS.c.person == person)
        async with self.engine.connect() as connection:
            return [_token(row) for row in await connection.execute(wanted)]

    async def revoke_token(self, token: bytes, person: bytes | None = None) -> bool:
        """Whether there was one with this id, and of this person if one is given."""
        gone = sa.delete(API_TOKENS).where(API_TOKENS.c.id == token)
        return await self._changed(gone if person is None else gone.where(API_TOKENS.c.person == person))

    # PASSKEYS

    async def add_passkey(
        self, person: bytes, credential: bytes, public_key: bytes, count: int, name: str, now: int
    ) -> bool:
        """False if this credential is known already. Raises TooMany."""
        row = {"credential": credential, "person": person, "public_key": public_key, "sign_count": count}
        async with self.engine.begin() as connection:
            await _bounded(connection, PASSKEYS, person, PASSKEYS_MAX)
            adding = insert(PASSKEYS).on_conflict_do_nothing()
            result = await connection.execute(adding, {**row, "name": name, "made": now, "used": -1})
        return result.rowcount == 1

    async def passkey(self, credential: bytes) -> tuple[PasskeyView, Person] | None:
        joined = sa.select(PASSKEYS, *_PERSON_COLUMNS).join(PEOPLE, PEOPLE.c.id == PASSKEYS.c.person)
        async with self.engine.connect() as connection:
            row = (await connection.execute(joined.where(PASSKEYS.c.credential == credential))).one_or_none()
        return (PasskeyView(*row[:7]), Person(*row[7:])) if row else None

    async def passkeys(self, person: bytes) -> list[PasskeyView]:
        wanted = sa.select(PASSKEYS).where(PASSKEYS.c.person == person).order_by(PASSKEYS.c.made)
        async with self.engine.connect() as connection:
            return [PasskeyView(*row) for row in await connection.execute(wanted)]

    async def passkey_used(self, credential: bytes, count: int, now: int) -> None:
        one = sa.update(PASSKEYS).where(PASSKEYS.c.credential == credential)
        await self._changed(one.values(sign_count=count, used=now))

    async def remove_passkey(self, credential: bytes, person: bytes) -> bool:
        gone = sa.delete(PASSKEYS).where(PASSKEYS.c.credential == credential, PASSKEYS.c.person == person)
        return await self._changed(gone)

    # CHALLENGES

    async def spend(self, digest: bytes, now: int, ends: int) -> bool:
        """False for what was spent before; remembered until it has ended anyway."""
        async with self.engine.begin() as connection:
            await connection.execute(sa.delete(SPENT).where(SPENT.c.ends <= now))
            result = await connection.execute(insert(SPENT).on_conflict_do_nothing(), {"id": digest, "ends": ends})
        return result.rowcount == 1

    async def seed(self, name: str = CHALLENGES) -> bytes:
        """Random bytes (32) that stay the same for all who have this store open."""
        async with self.engine.begin() as connection:
            row = {"name": name, "seed": secrets.token_bytes(SECRET_BYTES)}
            await connection.execute(insert(SEEDS).on_conflict_do_nothing(), row)
            found = await connection.scalar(sa.select(SEEDS.c.seed).where(SEEDS.c.name == name))
        assert isinstance(found, bytes)
        return found

    async def _touch(self, table: sa.Table, digest: bytes, now: int) -> None:
        """On a full disk a session ends earlier than it would, and the request is answered all the same."""
        with contextlib.suppress(sa.exc.OperationalError):
            await self._changed(sa.update(table).where(table.c.id == digest).values(used=now))

    async def _changed(self, statement: Any) -> bool:
        async with self.engine.begin() as connection:
            return (await connection.execute(statement)).rowcount > 0


_PERSON_COLUMNS = (PEOPLE.c.id, PEOPLE.c.role, PEOPLE.c.account, PEOPLE.c.name)
_PERSON = sa.select(*_PERSON_COLUMNS)
_SESSION_COLUMNS = (SESSIONS.c.id, SESSIONS.c.means, SESSIONS.c.made, SESSIONS.c.used, SESSIONS.c.ends)
_SESSION = sa.select(*_SESSION_COLUMNS, *_PERSON_COLUMNS).join(PEOPLE, PEOPLE.c.id == SESSIONS.c.person)
_TOKEN_COLUMNS = (*(API_TOKENS.c[name] for name in ("id", "name", "scopes", "made", "ends", "used")),)
_TOKEN = sa.select(*_TOKEN_COLUMNS, *_PERSON_COLUMNS).join(PEOPLE, PEOPLE.c.id == API_TOKENS.c.person)


def _session(row: Sequence[Any]) -> SessionView:
    digest, means, made, used, ends = row[:5]
    return SessionView(digest, Person(*row[5:]), means, made, used, ends)


def _is_over(session: SessionView, now: int) -> bool:
    return now >= session.ends or now - session.used >= IDLE_S[session.person.role]


def _token(row: Sequence[Any]) -> ApiTokenView:
    digest, name, scopes, made, ends, used = row[:6]
    return ApiTokenView(digest, Person(*row[6:]), name, frozenset(scopes.split()), made, ends, used)


async def _bounded(connection: AsyncConnection, table: sa.Table, person: bytes, most: int) -> None:
    held = await connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.person == person))
    if (held or 0) >= most:
        raise TooMany(f"no more than {most} of these")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        migrate(ACCESS, path)
    except sa.exc.DBAPIError as error:
        advice = "put it back from a backup, or move it away and invite everybody again"
        raise OSError(f"store {ACCESS}: {path}: {error.orig}; {advice}") from error
    path.chmod(0o600)


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()
