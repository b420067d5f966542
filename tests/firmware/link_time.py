"""Time that passes only when a test says so, for the link in this process."""

import asyncio

from tests.firmware.link_parts import PATIENCE_S, link


class FakeClock:
    """In place of the clock in `mqtt_wire`. `waits` tells every wait that begins, in ms."""

    def __init__(self):
        self.now_ms = 0
        self.waits: asyncio.Queue[int] = asyncio.Queue()
        self._timers: list[tuple[int, asyncio.Future]] = []

    def ticks_ms(self):
        return self.now_ms

    def elapsed_ms(self, since_ms):
        return self.now_ms - since_ms

    async def wait(self, event, ms):
        timer = asyncio.get_running_loop().create_future()
        self._timers.append((self.now_ms + ms, timer))
        self.waits.put_nowait(ms)
        happening = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({timer, happening}, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            happening.cancel()
            timer.cancel()

    async def begun(self, ms):
        """Return when somebody has begun to wait for exactly `ms`."""
        while await asyncio.wait_for(self.waits.get(), PATIENCE_S) != ms:
            pass

    def advance(self, ms):
        self.now_ms += ms
        for due_ms, timer in self._timers:
            if due_ms <= self.now_ms and not timer.done():
                timer.set_result(None)
        self._timers = [(due_ms, timer) for due_ms, timer in self._timers if not timer.done()]


class Device:
    """A link in this process on fake time. `async with Device(port) as device:` runs it, and stops it in the end."""

    def __init__(self, port, subscriptions=("down", "beacon")):
        self.clock = FakeClock()
        self.limits_ms: list[int] = []  # what each back-off was drawn from
        self.received: list[tuple[str, bytes]] = []
        self.link = link.Link(
            "127.0.0.1",
            port,
            "device-1",
            "device-1",
            "secret",
            subscriptions,
            lambda topic, payload: self.received.append((topic, payload)),
            random=self._random,
            clock=self.clock,
        )
        self.up = asyncio.Event()
        self.link.on_connect = self.up.set

    def _random(self, limit):
        self.limits_ms.append(limit)
        return limit - 1

    async def __aenter__(self):
        self._task = asyncio.create_task(self.link.run())
        return self

    async def __aexit__(self, *_):
        await asyncio.wait_for(self.link.stop(), PATIENCE_S)
        await asyncio.wait_for(self._task, PATIENCE_S)
