"""A real coordinator beside a browser test, in a thread with a loop of its own; beacons come when the test says so."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.store.driven import Driven, driven
from tests.web.serving import Client

EPOCH = 4
VALUES = {"epoch_beacons": EPOCH, "deadline_beacons": 1, "late_beacons_max": 4}
OWNER = b"a browser's owner".ljust(32)
Found = TypeVar("Found")


class Living:
    """`client` speaks to it; `hands` are enrolled devices of one owner, whose key's seed is OWNER."""

    def __init__(self, net: Net, at: Driven, loop: asyncio.AbstractEventLoop, devices: int) -> None:
        self.net = net
        self.client = Client(net.http_port)
        self._at = at
        self._loop = loop
        token = net.token(owner=OWNER)
        self.account = token.owner
        self.hands = [Hand(net.given(token)) for _ in range(devices)]
        self.end: Callable[[], None] = lambda: None  # stops the coordinator before the block ends

    def call(self, work: Callable[[Driven], Awaitable[Found]]) -> Found:
        async def run() -> Found:
            return await work(self._at)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def enrolled(self) -> "Living":
        async def run(at: Driven) -> None:
            await at.beacons()
            for hand in self.hands:
                await at.enrol(hand)

        self.call(run)
        return self

    def live(self, beacons: int) -> "Living":
        """So many beacons, under each of which every device reports once."""

        async def run(at: Driven) -> None:
            for _ in range(beacons):
                await at.beacons()
                for hand in self.hands:
                    await at.submit(hand.report(at.beacon))

        self.call(run)
        return self

    def beacons(self, count: int = 1) -> None:
        self.call(lambda at: at.beacons(count))


@contextmanager
def living(folder: Path, devices: int = 2) -> Iterator[Living]:
    net, loop = Net(folder, VALUES), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="coordinator under test")
    thread.start()
    ended = asyncio.Event()

    async def run(told: "asyncio.Future[Driven]") -> None:
        async with driven(net) as at:
            told.set_result(at)
            await ended.wait()

    async def start() -> tuple[Driven, "asyncio.Task[None]"]:
        told: asyncio.Future[Driven] = loop.create_future()
        task = loop.create_task(run(told))
        await asyncio.wait([told, task], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return told.result(), task

    async def end(task: "asyncio.Task[None]") -> None:
        ended.set()
        await task

    try:
        at, task = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        try:
            made = Living(net, at, loop, devices)
            made.end = lambda: asyncio.run_coroutine_threadsafe(end(task), loop).result(30)
            yield made
        finally:
            asyncio.run_coroutine_threadsafe(end(task), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
