"""A real network with everything that can happen to money: vetting, a cap, silence, a copied key, a rotated one, tokens
and a device that change hands. It runs in a thread of its own, its real pages on its real port."""

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import nacl.signing

from coordinator.found import say
from coordinator.kernel import owner_messages as kinds
from coordinator.store.queries import Queries
from device_client.owner_signing import rotate_body, signed_message
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.store.driven import Driven, driven
from tests.web.serving import Client

T = TypeVar("T")
EPOCH = 4
VALUES = {
    "epoch_beacons": EPOCH,
    "deadline_beacons": 1,
    "late_beacons_max": 4,
    "reward_vetting_epochs": 2,
    "reward_owner_cap_ppm": 450_000,
    "reward_budget": 1_000_000_000_007,
}
OWNERS = {"ann": 4, "bob": 2, "cy": 1}
CLOSED = 6
CORRECTED = [("bob1", 3, 5_000_000_001), ("ann0", 1, 700), ("ann0", 2, 3), ("ann0", 1, 1_100)]  # device, epoch, amount
SETTLED = 100_000_000_003


class Money:
    """The network and its people; `story` is what happens at which beacon."""

    def __init__(self, folder: Path) -> None:
        self.net = Net(folder / "net", VALUES)
        self.seeds = {name: name.encode().ljust(32, b".") for name in OWNERS}
        tokens = {name: self.net.token(owner=self.seeds[name]) for name in OWNERS}
        self.owner = {name: token.owner for name, token in tokens.items()}
        self.hands = {f"{name}{i}": Hand(self.net.given(tokens[name])) for name, n in OWNERS.items() for i in range(n)}
        self.nonces = dict.fromkeys(OWNERS, 0)
        self.http = Client(self.net.http_port)
        self._loop = asyncio.new_event_loop()
        self._at: Driven | None = None

    @property
    def at(self) -> Driven:
        assert self._at is not None, "the network does not run"
        return self._at

    def ask(self, question: Callable[[Queries], Awaitable[T]]) -> T:
        async def asked() -> T:
            return await question(self.at.service.queries)

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(20)

    def run(self, work: Awaitable[T]) -> T:
        async def done() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)

    def id(self, name: str) -> bytes:
        return self.hands[name].id

    # THE STORY

    async def live(self) -> None:
        await self.at.beacons()
        for name, hand in self.hands.items():
            if name != "ann3":  # enrols in epoch 3
                await self.at.enrol(hand)
        for beacon in range(CLOSED * EPOCH + 2):
            await self.at.beacons()
            await self.told(beacon)
            for name, hand in self.hands.items():
                await self.speak(beacon, name, hand)
        await self.at.beacons()

    async def told(self, beacon: int) -> None:
        if beacon == 2 * EPOCH + 1:
            new = nacl.signing.SigningKey.generate()
            await self.said("bob", kinds.ROTATE, rotate_body(new, self.net.genesis.hash, self.id("bob0")))
            self.hands["bob0"].key = new
        elif beacon == 3 * EPOCH:
            await self.said("ann", kinds.TRANSFER, [self.owner["cy"], 1_234_567_891])
            await self.at.enrol(self.hands["ann3"])
        elif beacon == 4 * EPOCH + 1:
            await self.said("ann", kinds.DEVICE_TRANSFER, [self.id("ann2"), self.owner["bob"]])
            for name, epoch, amount in CORRECTED:
                self.operated(kinds.CORRECT, [self.owner[name[:-1]], self.id(name), epoch, amount, 1])
        elif beacon == 5 * EPOCH:
            self.operated(kinds.SETTLE, [self.owner["bob"], SETTLED, hashlib.sha256(b"invoice 7").digest()])

    def operated(self, kind: int, body: list[Any]) -> None:
        say(self.net.home, self.net.genesis, kind, body)

    async def said(self, name: str, kind: int, body: list[Any]) -> None:
        self.nonces[name] += 1
        key = nacl.signing.SigningKey(self.seeds[name])
        genesis = self.net.genesis.hash
        envelope, _ = signed_message(key, self.owner[name], genesis, kind, self.nonces[name], body)
        await asyncio.to_thread(self.at.service.node.owner_inbox.submit, envelope)

    async def speak(self, beacon: int, name: str, hand: Hand) -> None:
        if name == "ann1" and beacon % 3 == 0:
            hand.report(self.at.beacon)  # signed and never sent
        elif name == "bob1" and beacon >= 3 * EPOCH:
            return  # falls silent
        elif name == "ann3" and beacon < 3 * EPOCH:
            return
        elif name == "cy0" and beacon == 3 * EPOCH:
            copy = Hand(hand.given)
            copy.id, copy.key, copy.seq, copy.last_id = hand.id, hand.key, hand.seq, hand.last_id
            await self.at.submit(copy.report(self.at.beacon, [1]))
            await self.at.submit(hand.report(self.at.beacon))
        else:
            await self.at.submit(hand.report(self.at.beacon))


@contextmanager
def money(folder: Path) -> Iterator[Money]:
    """The network after its story; it answers until the block ends."""
    world = Money(folder)
    ready, over = threading.Event(), asyncio.Event()
    broken: list[BaseException] = []

    async def run() -> None:
        try:
            async with driven(world.net) as at:
                world._at = at
                await world.live()
                ready.set()
                await over.wait()
        except BaseException as error:
            broken.append(error)
            raise
        finally:
            ready.set()

    def forever() -> None:
        world._loop.run_until_complete(run())

    thread = threading.Thread(target=forever, name="network under test")
    thread.start()
    try:
        assert ready.wait(120)
        if broken:
            raise broken[0]
        yield world
    finally:
        world._loop.call_soon_threadsafe(over.set)
        thread.join(30)
        world._loop.close()
