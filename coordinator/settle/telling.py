"""Owners are told when a device went silent and when an epoch was paid, by e-mail or webhook.

look     now and then, at every account that has contacts: what is new goes into the outbox, one digest a contact
send     what is due in the outbox, a few at a time; what fails is tried again, later each time, and given up in the end

Both are on their own: nothing here delays a beacon, a batch or a receipt, and what fails is logged and counted.
"""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import structlog

from coordinator.kernel.access import ContactView
from coordinator.kernel.earnings_views import EarningsView
from coordinator.kernel.telling import PAID, SILENT, Digest, PaidEpoch, SilentDevice, Waiting, fields, text, whats

from .mail import Mail
from .webhook import NotSent, Webhook

log = structlog.get_logger("telling")
LOOK_S = 60.0
SEND_S = 5.0
SEND_AT_ONCE = 8
TRIES_MAX = 12
BACKOFF_S = 60
BACKOFF_MAX_S = 6 * 3600


class Book(Protocol):
    """Who wants to be told."""

    async def accounts(self) -> list[bytes]: ...

    async def of_account(self, account: bytes) -> list[ContactView]: ...


class Earnings(Protocol):
    async def earnings(self, account: bytes) -> EarningsView | None: ...


class Outbox(Protocol):
    async def untold(self, contact: int, whats: Sequence[str]) -> set[str]: ...

    async def put(self, contact: int, body: str, whats: Sequence[str], now: int) -> bool: ...

    async def due(self, now: int, limit: int) -> list[Waiting]: ...

    async def done(self, number: int) -> None: ...

    async def again(self, number: int, tries: int, due: int) -> None: ...


class Network(NamedTuple):
    """What every notice says: the network's name, where its page is, and how long a beacon takes."""

    name: str
    page: str
    beacon_interval_s: int


class Telling:
    """`master` is the secret from which links and signatures follow."""

    def __init__(
        self,
        network: Network,
        book: Book,
        earnings: Earnings,
        outbox: Outbox,
        mail: Mail,
        webhook: Webhook,
        master: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._network = network
        self._book = book
        self._earnings = earnings
        self._outbox = outbox
        self._mail = mail
        self._webhook = webhook
        self._master = master
        self._clock = clock
        self.counts = Counter[str]()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(LOOK_S, self.look), name="look")
            tasks.create_task(self._every(SEND_S, self.send), name="send")

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception:  # a notice is never worth the coordinator
                self.counts["failed"] += 1
                log.exception("fault", what="notices")

    # LOOK

    async def look(self) -> None:
        """Put into the outbox what is new."""
        for account in await self._book.accounts():
            view = await self._earnings.earnings(account)
            if view is None:
                continue
            for contact in await self._book.of_account(account):
                await self._tell(contact, view)

    async def _tell(self, contact: ContactView, view: EarningsView) -> None:
        digest = self._digest(view, contact.events)
        told = whats(digest, max(0, view.epoch + 1))
        every = [what for each in told.values() for what in each]
        untold = await self._outbox.untold(contact.id, every)
        fresh = {line for line, each in told.items() if untold.issuperset(each)}
        digest = digest._replace(
            silent=[one for one in digest.silent if one.device.hex() in fresh],
            paid=[one for one in digest.paid if str(one.epoch) in fresh],
        )
        if not digest.silent and not digest.paid:
            return
        noted = [what for line in fresh for what in told[line]]
        if await self._outbox.put(contact.id, json.dumps(fields(digest)), noted, int(self._clock())):
            self.counts["put"] += 1
        else:
            self.counts["outbox_full"] += 1

    def _digest(self, view: EarningsView, events: frozenset[str]) -> Digest:
        silent, paid = [], []
        if SILENT in events:
            interval = self._network.beacon_interval_s
            silent = [
                SilentDevice(one.device.device, one.device.last_slot, one.silent_beacons * interval)
                for one in view.devices
                if one.silent
            ]
        if PAID in events and view.epoch >= 0:
            amounts = [one.paid for one in view.devices if one.payout is not None]
            paid = [PaidEpoch(view.epoch, sum(amounts), sum(amount > 0 for amount in amounts))] if amounts else []
        return Digest(self._network.name, view.owner.account, silent, paid)

    # SEND

    async def send(self) -> None:
        """What is due."""
        due = await self._outbox.due(int(self._clock()), SEND_AT_ONCE)
        await asyncio.gather(*(self._sent(one) for one in due))

    async def _sent(self, one: Waiting) -> None:
        try:
            await self._deliver(one)
        except NotSent as error:
            tries = one.tries + 1
            if error.for_good or tries >= TRIES_MAX:
                log.warning("notice_given_up", contact=one.contact, tries=tries, error=str(error)[:200])
                self.counts["given_up"] += 1
                await self._outbox.done(one.id)
                return
            self.counts["retried"] += 1
            later = min(BACKOFF_MAX_S, BACKOFF_S << min(one.tries, 20))
            await self._outbox.again(one.id, tries, int(self._clock()) + later)
            return
        self.counts["sent"] += 1
        await self._outbox.done(one.id)

    async def _deliver(self, one: Waiting) -> None:
        told = json.loads(one.body)
        stop = self.stop_link(one.contact)
        if one.kind == "email":
            body = text(told, self._network.page, stop)
            await self._mail.send(one.address, told["subject"], body, self._link("/api/v1/notices/stop", one.contact))
        else:
            told |= {"page": self._network.page, "stop": stop}
            await self._webhook.send(one.contact, one.address, json.dumps(told).encode(), int(self._clock()))

    # STOP

    def stop_link(self, contact: int) -> str:
        """For people; mail programs have one of their own."""
        return self._link("/notices/stop", contact)

    def _link(self, path: str, contact: int) -> str:
        return f"{self._network.page}{path}?contact={contact}&code={stop_code(self._master, contact)}"


def stop_code(master: bytes, contact: int) -> str:
    """What shows that somebody got a notice of this contact."""
    return hmac.digest(master, f"edgetally/stop/{contact}".encode(), "sha256")[:16].hex()
