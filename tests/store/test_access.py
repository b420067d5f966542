"""The access store: secrets kept as hashes, what is over, what is bounded, what is removed, and who is whose."""

import asyncio
import contextlib
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from coordinator.kernel.access import METRICS, OPERATOR, OWNER, READ_PRIVATE, READER, TooMany, Visitor
from coordinator.store.access import PASSKEYS_MAX, SESSIONS_MAX, TOKENS_MAX, AccessStore, fingerprint
from coordinator.store.access_schema import ACCESS
from coordinator.store.contacts import CONTACTS_MAX, Contacts
from coordinator.store.home import Home
from coordinator.store.operator_log import WORDS_CHARS_MAX, OperatorLog, Texts

T = TypeVar("T")
NOW = 1_790_000_000
ALICE = bytes(range(16))
Asking = Callable[[Callable[[AccessStore], Awaitable[T]]], T]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "data")
    made.make()
    return made


def asked(home: Home, work: Callable[[AccessStore], Awaitable[T]]) -> T:
    async def run() -> T:
        store = await AccessStore.open(home)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def test_no_secret_lies_in_the_file(home: Home) -> None:
    async def work(store: AccessStore) -> list[str]:
        person = await store.person(OPERATOR, b"", "olga", NOW)
        return [
            await store.invite(person, NOW, 900),
            await store.open_session(person, "link", NOW),
            await store.new_token(person, "x", frozenset({METRICS}), NOW, 900),
        ]

    secrets = asked(home, work)
    path = home.store(ACCESS)
    data = path.read_bytes() + b"".join(one.read_bytes() for one in path.parent.glob("access.sqlite-*"))
    assert not any(secret.removeprefix("et_").encode() in data for secret in secrets)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["", "x", "A" * 42, "A" * 44, "é" * 43, "A" * 42 + "=", "A" * 42 + "!", "A" * 42 + "B", "A" * 10**6]
)
def test_what_is_no_secret_is_not_looked_up(text: str) -> None:
    assert fingerprint(text) is None
    assert fingerprint("et_" + text, "et_") is None
    assert fingerprint("A" * 43, "et_") is None and fingerprint("A" * 43) is not None


def test_every_wrong_secret_takes_the_same_steps(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question, for the SHA-256 of what was said: how long it takes tells nothing of the secrets that are there."""
    looked: list[bytes] = []

    def near(secret: str) -> list[str]:
        """Others that differ from a secret in its first character, or in one late in it."""
        at = len(secret) - 43
        return [
            secret[:place] + ("A" if secret[place] != "A" else "Q") + secret[place + 1 :] for place in (at, at + 41)
        ]

    async def work(store: AccessStore) -> None:
        person = await store.person(OPERATOR, b"", "olga", NOW)
        token = await store.new_token(person, "x", frozenset({METRICS}), NOW, 900)
        session = await store.open_session(person, "link", NOW)
        rows, touched = store._reading.rows, list[bytes]()

        async def read(name: str, statement: sa.Select[Any]) -> Sequence[Any]:
            looked.extend(statement.compile().params.values())
            return await rows(name, statement)

        async def touch(_table: sa.Table, digest: bytes, _now: int) -> None:
            touched.append(digest)

        monkeypatch.setattr(store._reading, "rows", read)
        monkeypatch.setattr(store, "_touch", touch)
        for said in (*near(token), "et_" + "A" * 43):
            assert await store.token(said, NOW + 60) is None
            assert looked.pop() == fingerprint(said, "et_") and not looked
        for said in (*near(session), "A" * 43):
            assert await store.session(said, NOW + 60) is None
            assert looked.pop() == fingerprint(said) and not looked
        assert await store.token(token, NOW + 900) is None and looked.pop() and not looked, "one that is over too"
        assert not touched
        assert await store.token(token, NOW + 60) is not None and touched, "the right one leaves a trace"

    asked(home, work)


def test_an_owner_is_one_person_and_names_are_others(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        alice = await store.person(OWNER, ALICE, "", NOW)
        assert alice == await store.person(OWNER, ALICE, "another name", NOW + 9)
        olga, bob = await store.person(OPERATOR, b"", "olga", NOW), await store.person(OPERATOR, b"", "bob", NOW)
        assert len({alice.id, olga.id, bob.id, (await store.person(READER, b"", "olga", NOW)).id}) == 4
        assert len(alice.id) == 16 and alice.name == ALICE.hex()

    asked(home, work)


def test_everything_of_a_person_is_bounded(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        alice = await store.person(OWNER, ALICE, "", NOW)
        first = await store.open_session(alice, "key", NOW)
        for number in range(SESSIONS_MAX):
            await store.open_session(alice, "key", NOW + 1 + number)
        assert len(await store.sessions(alice.id, NOW + 30)) == SESSIONS_MAX
        assert await store.session(first, NOW + 30) is None, "the oldest ends"
        for number in range(TOKENS_MAX):
            await store.new_token(alice, str(number), frozenset({READ_PRIVATE}), NOW, 60)
        with pytest.raises(TooMany):
            await store.new_token(alice, "x", frozenset({READ_PRIVATE}), NOW, 60)
        for number in range(PASSKEYS_MAX):
            assert await store.add_passkey(alice.id, bytes([number]), b"key", 0, "x", NOW)
        with pytest.raises(TooMany):
            await store.add_passkey(alice.id, b"more", b"key", 0, "x", NOW)
        contacts = Contacts(store.engine)
        for _ in range(CONTACTS_MAX):
            await contacts.add(alice, "email", "a@b.example", frozenset({"paid"}), NOW)
        with pytest.raises(TooMany):
            await contacts.add(alice, "email", "a@b.example", frozenset({"paid"}), NOW)
        assert {one.account for one in await contacts.of_account(ALICE)} == {ALICE}
        assert await contacts.accounts() == [ALICE]

    asked(home, work)


def test_a_token_never_may_more_than_its_person(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        reader = await store.person(READER, b"", "r", NOW)
        with pytest.raises(AssertionError):
            await store.new_token(reader, "x", frozenset({READ_PRIVATE}), NOW, 60)

    asked(home, work)


def test_whoever_is_removed_is_out_everywhere(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        olga = await store.person(OPERATOR, b"", "olga", NOW)
        session = await store.open_session(olga, "link", NOW)
        token = await store.new_token(olga, "x", frozenset({METRICS}), NOW, 900)
        code = await store.invite(olga, NOW, 900)
        await store.add_passkey(olga.id, b"credential", b"key", 0, "x", NOW)
        assert await store.token(token, NOW) and await store.session(session, NOW)
        await store.remove_person(olga.id)
        assert await store.session(session, NOW) is None and await store.token(token, NOW) is None
        assert await store.redeem(code, NOW) is None and await store.passkey(b"credential") is None
        assert await store.people() == []

    asked(home, work)


def test_what_was_spent_is_remembered_until_it_is_over(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        assert await store.spend(b"one", NOW, NOW + 300)
        assert not await store.spend(b"one", NOW + 299, NOW + 300)
        assert await store.spend(b"one", NOW + 300, NOW + 600)
        assert await store.seed() == await store.seed() and await store.seed("other") != await store.seed()

    asked(home, work)


def test_two_that_redeem_a_link_at_once(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        olga = await store.person(OPERATOR, b"", "olga", NOW)
        code = await store.invite(olga, NOW, 900)
        found = await asyncio.gather(*(store.redeem(code, NOW) for _ in range(8)))
        assert [one for one in found if one is not None] == [olga]

    asked(home, work)


def test_the_log_is_paged_by_number_and_cut_where_it_is_long(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        log = OperatorLog(store.engine, lambda: NOW)
        who = Visitor(OPERATOR, name="olga")
        for number in range(7):
            await log.add(who, "odd" if number % 2 else "even", str(number), "because", "x" * 10_000)
        page = await log.actions(None, 3)
        assert [one.subject for one in page] == ["6", "5", "4"] and page[0].name == "olga" and page[0].time == NOW
        assert [one.subject for one in await log.actions(page[-1].number, 3)] == ["3", "2", "1"]
        assert [one.subject for one in await log.actions(None, 9, "odd")] == ["5", "3", "1"]
        assert await log.kinds() == ["even", "odd"] and len(page[0].evidence) == WORDS_CHARS_MAX
        texts = Texts(store.engine, lambda: NOW)
        digest = await texts.put("it was the neighbour's", ALICE)
        assert await texts.put("it was the neighbour's", ALICE) == digest
        assert await texts.get(digest) == ("it was the neighbour's", ALICE) and await texts.get(bytes(32)) is None

    asked(home, work)


def test_a_broken_file_says_what_to_do(home: Home) -> None:
    home.store(ACCESS).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(OSError, match=r"store access: .*invite everybody again"):
        asked(home, lambda store: store.people())


def test_a_touch_that_finds_no_room_keeps_nobody_out(home: Home) -> None:
    async def work(store: AccessStore) -> None:
        olga = await store.person(OPERATOR, b"", "olga", NOW)
        session = await store.open_session(olga, "link", NOW)
        with contextlib.closing(sqlite3.connect(home.store(ACCESS))) as held:
            held.execute("BEGIN EXCLUSIVE")
            async with store.engine.connect() as connection:
                await connection.exec_driver_sql("PRAGMA busy_timeout=1")
            found = await store.session(session, NOW + 61)
        assert found is not None and found.person == olga

    asked(home, work)
