"""One connection of the link, and the clock by which it is watched. CPython and MicroPython.

`link.py` explains who waits for what; here is how bytes go in and out of a socket on either interpreter.
"""

import asyncio
import sys
import time

_MICROPYTHON = sys.implementation.name == "micropython"
_TROUBLE = (OSError, ValueError)


class Lost(Exception):
    """The connection cannot be made or has gone. Its argument, if any, is the counter that says why."""


class Clock:
    """Real time in ms. Tests bring their own."""

    if _MICROPYTHON:
        ticks_ms = staticmethod(time.ticks_ms)

        def elapsed_ms(self, since_ms):
            """From `since_ms`, a value of `ticks_ms`, until now; right up to 2^29 ms (6 days), where the ticks wrap."""
            return time.ticks_diff(time.ticks_ms(), since_ms)

    else:

        def ticks_ms(self):
            return time.monotonic_ns() // 1_000_000

        def elapsed_ms(self, since_ms):
            return self.ticks_ms() - since_ms

    async def wait(self, event, ms):
        """True once `event` is set, False when that took longer than `ms`."""
        try:
            await asyncio.wait_for(event.wait(), ms / 1000)
        except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no builtin of that name
            return False
        return True


def _lost(trouble):
    # Both interpreters make a certificate that does not fit a ValueError; MicroPython only in the first read or write.
    return Lost("refused_certificate") if isinstance(trouble, ValueError) else Lost()


class Wire:
    """One connection: whole packets go out, whole packets come in. Every byte that a link sends passes through here."""

    def __init__(self, clock, decoder, wake):
        self.broken = False
        self.sent_ms = self.received_ms = clock.ticks_ms()
        self._clock = clock
        self._decoder = decoder
        self._wake = wake
        self._writing = asyncio.Lock()
        self._sender = None  # the task that is writing
        self._reader = self._writer = None

    async def open(self, host, port, ssl):
        try:
            self._reader, self._writer = await asyncio.open_connection(host, port, ssl=ssl)
        except _TROUBLE as trouble:
            raise _lost(trouble) from None
        if not _MICROPYTHON:
            self._writer.transport.set_write_buffer_limits(0)  # drained shall mean: the kernel has it

    async def send(self, packet):
        """Write a whole packet, or raise Lost."""
        async with self._writing:
            if self.broken:
                raise Lost
            self._sender = asyncio.current_task()
            try:
                self._writer.write(packet)
                await self._writer.drain()
            except _TROUBLE as trouble:
                self.fail()
                raise _lost(trouble) from None
            except asyncio.CancelledError:
                if self._sender is None:  # by `release`, not by the owner of the task
                    raise Lost from None
                self.fail()  # half a packet may be out, nothing can follow it
                raise
            finally:
                self._sender = None
        self.sent_ms = self._clock.ticks_ms()

    def send_now(self, packet):
        """Write a packet of two bytes without waiting; not at all while another one is on its way."""
        if self.broken or self._writing.locked():
            return
        try:
            self._writer.write(packet)
        except OSError:
            self.fail()
        self.sent_ms = self._clock.ticks_ms()

    async def receive(self):
        """The next packet, or Lost, or Malformed."""
        packet = None
        while packet is None:
            window = self._decoder.window()
            try:
                if _MICROPYTHON:
                    count = await self._reader.readinto(window)
                else:
                    chunk = await self._reader.read(len(window))
                    count = len(chunk)
                    window[:count] = chunk
            except _TROUBLE as trouble:
                raise _lost(trouble) from None
            if count == 0:
                raise Lost
            if count:  # None: TLS has no whole record yet
                packet = self._decoder.received(count)
        self.received_ms = self._clock.ticks_ms()
        return packet

    def fail(self):
        """Nothing more will come or go; wakes the watch."""
        self.broken = True
        self._wake.set()

    def release(self):
        """Fail whoever is waiting in `send`."""
        self.fail()
        sender, self._sender = self._sender, None
        # MicroPython forgets a task that waits to write when the one that waits to read the same socket is cancelled.
        if _MICROPYTHON and sender is not None:
            sender.cancel()

    async def close(self):
        if self._writer is None:
            return
        if not _MICROPYTHON:
            self._writer.transport.abort()  # close() would wait for a peer that may be gone
        try:
            await self._writer.wait_closed()
        except OSError:
            pass
