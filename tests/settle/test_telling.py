"""Owners are told once, in one digest, over real sockets; what fails is tried again, and nothing leads inside."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from coordinator.kernel.access import Person
from coordinator.kernel.earnings_views import DeviceEarnings, EarningsView, LifetimeView
from coordinator.kernel.views import DeviceView, OwnerView, PayoutView
from coordinator.settle.mail import Mail, MailServer
from coordinator.settle.telling import TRIES_MAX, Network, Telling, stop_code
from coordinator.settle.webhook import NotSent, Webhook, is_public, secret_of, signature
from coordinator.store.access import AccessStore
from coordinator.store.contacts import Contacts
from coordinator.store.home import Home
from coordinator.store.outbox import Outbox
from tests.settle.smtp_server import SmtpServer, smtp_server

ACCOUNT, MASTER = b"a" * 16, b"m" * 32
PERSON = Person(b"p" * 16, "owner", ACCOUNT, "owner")


class Hook:
    """A webhook that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

    async def post(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})


class House:
    """The sender with all its real parts; `earnings` is what the network says, `now` the time."""

    def __init__(self, access: AccessStore, smtp: SmtpServer, hook: Hook, url: str, private: bool) -> None:
        self.now = 1_790_000_000
        self.silent: list[bytes] = []
        self.epoch = 3
        self.contacts, self.outbox = Contacts(access.engine), Outbox(access.engine)
        self.smtp, self.hook, self.url = smtp, hook, url
        server = MailServer("127.0.0.1", smtp.port, "none", "", "", "net@example.org")
        network, mail, webhook = Network("harbour", "https://page.example", 10), Mail(server), Webhook(MASTER, private)
        clock = lambda: float(self.now)  # noqa: E731
        self.telling = Telling(network, self.contacts, self, self.outbox, mail, webhook, MASTER, clock)

    async def earnings(self, account: bytes) -> EarningsView | None:
        if account != ACCOUNT:
            return None
        devices = [_device(bytes([n]) * 16, bytes([n]) * 16 in self.silent, self.epoch) for n in range(1, 4)]
        owner = OwnerView(ACCOUNT, [one.device for one in devices], 0, 0, 0, [], 0, b"")
        return EarningsView(owner, LifetimeView(*[0] * 7), 0, 0, self.epoch, [], None, devices, len(self.silent), 0)

    async def add(self, address: str, events: str = "silent paid", kind: str = "email") -> int:
        return await self.contacts.add(PERSON, kind, address, frozenset(events.split()), self.now)

    async def round(self) -> None:
        await self.telling.look()
        await self.telling.send()


def _device(device: bytes, silent: bool, epoch: int) -> DeviceEarnings:
    view = DeviceView(device, ACCOUNT, "active", "", 0, 70, 60, True, [], 1, 0, 0, 0, b"")
    payout = PayoutView(epoch, device, ACCOUNT, 5, 6, 0, 11, 0, 0, 1, 1)
    return DeviceEarnings(view, silent, 90 if silent else 0, payout, 11, 0, None)


@asynccontextmanager
async def house(folder: Path, private: bool = True) -> AsyncIterator[House]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/{name}", hook.post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    home = Home(folder)
    home.make()
    access = await AccessStore.open(home)
    try:
        async with smtp_server() as smtp:
            yield House(access, smtp, hook, f"http://127.0.0.1:{port}", private)
    finally:
        await access.close()
        await runner.cleanup()


def in_house(folder: Path, story: Callable[[House], Awaitable[None]], private: bool = True) -> None:
    async def run() -> None:
        async with house(folder, private) as at:
            await story(at)

    asyncio.run(run())


def test_one_digest_a_contact_and_nothing_twice(tmp_path: Path) -> None:
    async def story(at: House) -> None:
        contact = await at.add("ann@example.org")
        at.silent = [b"\x01" * 16, b"\x02" * 16]
        await at.round()
        (message,) = at.smtp.messages
        assert message["Subject"] == "harbour: 2 devices went silent, epoch 3 was paid"
        assert (message["To"], message["From"]) == ("ann@example.org", "net@example.org")
        body = message.get_content()
        assert "01" * 16 in body and "was last heard 15 minutes ago" in body
        assert "Epoch 3: 0.000000033 tokens for 3 devices." in body
        code = stop_code(MASTER, contact)
        assert f"https://page.example/notices/stop?contact={contact}&code={code}" in body
        assert message["List-Unsubscribe"] == (
            f"<https://page.example/api/v1/notices/stop?contact={contact}&code={code}>"
        )
        await at.round()
        assert len(at.smtp.messages) == 1
        at.epoch, at.silent = 4, [b"\x01" * 16, b"\x02" * 16, b"\x03" * 16]
        await at.round()
        again = at.smtp.messages[1]
        assert again["Subject"] == "harbour: a device went silent, epoch 4 was paid"
        assert "03" * 16 in again.get_content() and "01" * 16 not in again.get_content()

    in_house(tmp_path, story)


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    async def story(at: House) -> None:
        await at.add("silent@example.org", "silent")
        await at.add("paid@example.org", "paid")
        await at.round()
        assert [one["To"] for one in at.smtp.messages] == ["paid@example.org"]
        at.silent = [b"\x01" * 16]
        await at.round()
        assert [one["To"] for one in at.smtp.messages] == ["paid@example.org", "silent@example.org"]

    in_house(tmp_path, story)


def test_a_webhook_can_check_who_sent_it(tmp_path: Path) -> None:
    async def story(at: House) -> None:
        contact = await at.add(f"{at.url}/hook", kind="webhook")
        await at.round()
        ((headers, body),) = at.hook.got
        told = json.loads(body)
        assert told["paid"] == [{"epoch": 3, "paid": 33, "paid_tokens": "0.000000033", "devices": 3}]
        secret = secret_of(MASTER, contact)
        made = hmac.new(secret.encode(), f"{at.now}.".encode() + body, hashlib.sha256).hexdigest()
        assert headers["Edgetally-Signature"] == signature(secret, at.now, body) == f"t={at.now},v1={made}"
        assert secret_of(MASTER, contact + 1) != secret

    in_house(tmp_path, story)


@pytest.mark.parametrize("status", [500, 302, 404])
def test_what_fails_is_tried_again_later_and_given_up_in_the_end(tmp_path: Path, status: int) -> None:
    async def story(at: House) -> None:
        at.hook.status = status
        await at.add(f"{at.url}/hook", kind="webhook")
        await at.round()
        await at.telling.send()
        assert len(at.hook.got) == 1  # a redirect is not followed, and nothing comes before its time
        for tries in range(2, TRIES_MAX + 1):
            at.now += 6 * 3600
            await at.telling.send()
            assert len(at.hook.got) == tries
        at.now += 6 * 3600
        await at.telling.send()
        assert len(at.hook.got) == TRIES_MAX
        assert at.telling.counts == {"put": 1, "retried": TRIES_MAX - 1, "given_up": 1}

    in_house(tmp_path, story)


def test_it_is_durable_and_goes_on_when_the_mail_server_is_back(tmp_path: Path) -> None:
    async def story(at: House) -> None:
        at.smtp.refuse = b"451 not now"
        await at.add("ann@example.org")
        await at.round()
        assert at.smtp.messages == []

    async def later(at: House) -> None:
        at.now += 120
        await at.telling.send()
        assert len(at.smtp.messages) == 1

    in_house(tmp_path, story)
    in_house(tmp_path, later)


def test_an_address_that_is_none_is_given_up_at_once(tmp_path: Path) -> None:
    async def story(at: House) -> None:
        at.smtp.refuse = b"550 nobody here"
        await at.add("ann@example.org")
        await at.round()
        at.now += 10**6
        at.smtp.refuse = b""
        await at.telling.send()
        assert at.smtp.messages == [] and at.telling.counts["given_up"] == 1

    in_house(tmp_path, story)


def test_who_wants_no_more_gets_no_more(tmp_path: Path) -> None:
    async def story(at: House) -> None:
        contact = await at.add("ann@example.org")
        await at.telling.look()
        assert await at.outbox.stop(contact)
        await at.telling.send()
        at.epoch = 4
        await at.round()
        assert at.smtp.messages == []

    in_house(tmp_path, story)


PRIVATE = ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"]
PRIVATE += ["::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1", "::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_private(address: str) -> None:
    assert not is_public(address)


def test_public_addresses_are_public() -> None:
    assert all(map(is_public, ("93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14")))


@pytest.mark.parametrize(
    "url",
    [
        *("{here}/hook", "http://localhost/hook", "http://0x7f.1/hook", "http://2130706433/", "http://127.1/"),
        *("http://%31%32%37.0.0.1/", "http://[::1]/", "http://[::ffff:7f00:1]/", "http://user:pass@example.org/"),
        *("http://example.org:25/", "ftp://example.org/", "http://", "http://[", "http://example.org:99999/"),
        *("http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "http://0/", "http://127.0.0.1./"),
    ],
)
def test_a_webhook_leads_nowhere_inside(tmp_path: Path, url: str) -> None:
    async def story(at: House) -> None:
        webhook: Any = Webhook(MASTER, False)
        with pytest.raises(NotSent):
            await webhook.send(1, url.format(here=at.url), b"{}", at.now)
        assert at.hook.got == []

    in_house(tmp_path, story, private=False)


def test_no_line_of_an_address_becomes_a_header() -> None:
    async def run() -> None:
        mail = Mail(MailServer("127.0.0.1", 1, "none", "", "", "net@example.org"))
        with pytest.raises((NotSent, ValueError)):
            await mail.send("a@example.org\r\nBcc: b@example.org", "s", "t", "u")

    asyncio.run(run())
