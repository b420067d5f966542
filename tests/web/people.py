"""People who can sign in, for tests of pages: a real access store, and clients that hold a session or a token."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import segno
from nacl.signing import SigningKey

from coordinator import token_code
from coordinator.engine.wire import is_valid_key
from coordinator.kernel.access import OWNER, SCOPES_OF, EnrolmentToken, Person
from coordinator.kernel.actions import BadAction
from coordinator.kernel.operator_views import RolloutView
from coordinator.kernel.views import AccountView, DeletedView, OwnerMessageView
from coordinator.store.access import AccessStore
from coordinator.store.access_schema import ACCESS
from coordinator.store.contacts import Contacts
from coordinator.store.home import Home
from coordinator.store.operator_log import OperatorLog, Texts
from coordinator.web.app import make_app
from coordinator.web.hosts import Place
from coordinator.web.limits import DEFAULT
from coordinator.web.ports import OwnerSubmitted, People
from device_client.core import cose, verdicts
from tests.web.fakes import BEACON_TIME, FakeHealth, FakeNotices, FakeReader, FakeSubmit, World, world
from tests.web.serving import Answer, Client, serving

T = TypeVar("T")
FORM = "application/x-www-form-urlencoded"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')


class Clock:
    """The server's time; a test moves it."""

    def __init__(self, now: int = BEACON_TIME + 3) -> None:
        self.now = now

    def __call__(self) -> float:
        return float(self.now)


class FakeEnrolment:
    """Tokens in memory."""

    def __init__(self) -> None:
        self.tokens: list[EnrolmentToken] = []

    async def issue(self, owner_key: bytes, devices: int, last_epoch: int) -> bytes:
        if not is_valid_key(owner_key):
            raise ValueError("is not a public key that anyone can sign with")
        seed = hashlib.sha256(b"token %d" % len(self.tokens)).digest()  # the same in every run: pictures show it
        made = bytes(SigningKey(seed).verify_key)
        self.tokens.insert(0, EnrolmentToken(made, cose.signer_id(owner_key), devices, last_epoch, 0))
        return made

    async def issued(self) -> list[EnrolmentToken]:
        return self.tokens

    async def provisioning(self, public_key: bytes, host: str) -> tuple[str, bytes] | None:
        if all(one.public_key != public_key for one in self.tokens):
            return None
        return f'{{"host": "{host}"}}', token_code.svg(segno.make(f"edgetally:{host}", error="m", micro=False))


class FakeOwners:
    """Accounts by the keys that a test gives them."""

    def __init__(self) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.balances: dict[bytes, int] = {}

    def add(self, key: SigningKey) -> bytes:
        account = cose.signer_id(bytes(key.verify_key))
        self.keys[account] = bytes(key.verify_key)
        return account

    async def submit(self, envelope: bytes) -> OwnerSubmitted:
        return OwnerSubmitted(verdicts.OK, bytes(32))

    async def message(self, message: bytes) -> OwnerMessageView | None:
        return None

    async def account(self, account: bytes) -> AccountView:
        return AccountView(account, self.keys.get(account, b""), self.balances.get(account, 0), 0, 1)


class FakeHand:
    """Takes everything but what a test forbids; `acted` is what it did."""

    quarantine_epochs_max = 30

    def __init__(self) -> None:
        self.acted: list[tuple[object, ...]] = []
        self.mistake: BadAction | None = None

    async def _act(self, *arguments: object, look_only: bool = False) -> bytes:
        if self.mistake is not None:
            raise self.mistake
        if look_only:
            return b""
        self.acted.append(arguments)
        return bytes(32)

    async def waits(self, message: bytes) -> bool:
        return False

    async def quarantine(self, visitor: Any, *arguments: Any, look_only: bool = False) -> bytes:
        return await self._act("quarantine", *arguments, look_only=look_only)

    async def lift(self, visitor: Any, *arguments: Any, look_only: bool = False) -> bytes:
        return await self._act("lift", *arguments, look_only=look_only)

    async def correct(self, visitor: Any, *arguments: Any, look_only: bool = False) -> bytes:
        return await self._act("correct", *arguments, look_only=look_only)

    async def settle(self, visitor: Any, *arguments: Any, look_only: bool = False) -> bytes:
        return await self._act("settle", *arguments, look_only=look_only)


class FakeHousekeeping:
    """One release that did not please every board, and a backup."""

    async def rollouts(self) -> list[RolloutView]:
        return [RolloutView("esp32-devkitc", 3, 50_000, True, 7, {"confirmed": 5, "rolled_back": 2}, {"no_room": 1})]

    async def backup(self) -> tuple[int, int] | None:
        return BEACON_TIME, 6


class FakeDeletions:
    """Keeps what it was asked to delete."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    async def delete(self, device: bytes, through_epoch: int) -> DeletedView:
        self.asked.append((device, through_epoch))
        return DeletedView(bytes(32), 9, 1)


class Inn:
    """A server with people: `client` is nobody, `session` and `token` are clients of somebody."""

    def __init__(
        self,
        client: Client,
        home: Home,
        clock: Clock,
        owners: FakeOwners,
        enrolment: FakeEnrolment,
        hand: FakeHand,
        shown: World,
    ) -> None:
        self.shown = shown
        self.client = client
        self.hand = hand
        self.clock = clock
        self.owners = owners
        self.enrolment = enrolment
        self._path = home.store(ACCESS)

    def ask(self, work: Callable[[AccessStore], Awaitable[T]]) -> T:
        """Do something with the store, beside the server."""

        async def asked() -> T:
            store = AccessStore.at(self._path)
            try:
                return await work(store)
            finally:
                await store.close()

        # In a thread of its own: a test with a browser has a loop already.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(asked())).result(20)

    def person(self, role: str, account: bytes = b"", name: str = "") -> Person:
        return self.ask(lambda store: store.person(role, account, name or f"a {role}", self.clock.now))

    def session(self, role: str, account: bytes = b"", name: str = "") -> "Guest":
        """A browser in which somebody is signed in."""
        person = self.person(role, account, name)
        secret = self.ask(lambda store: store.open_session(person, "link", self.clock.now))
        guest = Guest(self.client)
        guest.cookies["edgetally"] = secret
        return guest

    def token(self, role: str, account: bytes = b"", scopes: Any = None, days: float = 1) -> "Script":
        """A script with an API token, of all scopes of its role unless some are given."""
        person, held = self.person(role, account), frozenset(SCOPES_OF[role] if scopes is None else scopes)
        life_s = int(days * 86_400)
        return Script(
            self.client, self.ask(lambda store: store.new_token(person, "test", held, self.clock.now, life_s))
        )

    def link(self, role: str, account: bytes = b"", name: str = "", life_s: int = 900) -> str:
        """The code of an invitation."""
        person = self.person(role, account, name)
        return self.ask(lambda store: store.invite(person, self.clock.now, life_s))


class Guest:
    """A browser: it keeps cookies, says where its forms come from, and puts the page's field into them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cookies: dict[str, str] = {}

    def __call__(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        held = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.client(method, target, body, **({"Cookie": held} if held else {}), **headers)
        for line in answer.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel.value:
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        return answer

    def page(self, target: str) -> Answer:
        return self("GET", target, Accept="text/html")

    def field(self, page: str = "/login") -> str:
        found = CSRF.search(self.page(page).text)
        assert found, f"no form on {page}"
        return found[1]

    def post(self, target: str, page: str = "/login", **fields: Any) -> Answer:
        """Send a form of `page`."""
        body = urlencode({"csrf": self.field(page), **fields}, doseq=True).encode()
        return self("POST", target, body, Content_Type=FORM, Origin=self.client.url, Accept="text/html")


class Script:
    """A program with an API token."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.token = token

    def __call__(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        return self.client(method, target, body, Authorization=f"Bearer {self.token}", **headers)


@contextmanager
def inn(folder: Path, place: Place = Place(), shown: World | None = None, live_max: int = 0) -> Iterator[Inn]:  # noqa: B008
    """Serve a network in memory to people in a real store. Events end for nobody, and most tests wait for the end of
    every answer: `live_max` may listen."""
    home, clock, owners, enrolment = Home(folder), Clock(), FakeOwners(), FakeEnrolment()
    hand = FakeHand()
    home.make()
    with ThreadPoolExecutor(1) as thread:
        access = thread.submit(lambda: asyncio.run(AccessStore.open(home))).result(20)
    engine = access.engine
    people = People(
        access, OperatorLog(engine, clock), Texts(engine, clock), Contacts(engine), enrolment, hand, FakeHousekeeping()
    )
    reader = FakeReader(shown or world())
    owners.balances = {one.account: one.balance for one in reader.world.owners()}
    limits = DEFAULT._replace(live_max=live_max)
    app = make_app(
        reader,
        FakeSubmit(),
        owners,
        now=clock,
        people=people,
        place=place,
        deletions=FakeDeletions(),
        owner_notices=FakeNotices(),
        health=FakeHealth(),
        limits=limits,
    )

    async def close(_: object) -> None:
        await access.close()

    app.on_cleanup.append(close)
    with serving(app) as client:
        yield Inn(client, home, clock, owners, enrolment, hand, reader.world)


__all__ = ["OWNER", "Clock", "Guest", "Inn", "Script", "inn"]
