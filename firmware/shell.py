"""The shell around the portable client: the link, a counter of milliseconds, the sensors, the status line.

Theory of operation. One loop owns the client: it samples, ticks, and publishes what the tick hands out, all of which is
durable by then. It sleeps until the link has brought something, but never longer than half a second. The rules are in
`device_client.core`; nothing here decides anything but when.
"""

import asyncio
import gc
import json
import sys

import ed25519
import mqtt_wire

IN_FLIGHT_MAX = 4  # a tick hands out so many messages of 1 KiB at once


class Counter:
    """Milliseconds since start, from ticks that wrap. Ask at least every half TICKS_PERIOD."""

    def __init__(self, board):
        self._board = board
        self._last = board.ticks_ms()
        self._total_ms = 0

    def now_ms(self):
        ticks = self._board.ticks_ms()
        self._total_ms += (ticks - self._last) % self._board.TICKS_PERIOD
        self._last = ticks
        return self._total_ms


def signer(seed):
    return lambda message: ed25519.sign(seed, message)


def forget_proofs():
    """What checks proofs is read again for the next one: it is too much to hold between two epochs."""
    core = sys.modules["device_client.core"]
    for name in ("proofs", "merkle"):
        if sys.modules.pop("device_client.core." + name, None):
            delattr(core, name)
    gc.collect()


class Shell:
    """One device. `start.py` makes the parts."""

    def __init__(self, client, link, board, now_ms):
        self._client = client
        self._link = link
        self._board = board
        self._now_ms = now_ms
        self._said = None
        self._wake = mqtt_wire.Event()
        link.on_connect = self._connected
        link.received = self._received

    def _connected(self):
        self._client.linked(self._now_ms())
        self._wake.set()

    def _received(self, topic, payload):
        self._client.received(topic, payload, self._now_ms())
        self._wake.set()

    async def run(self):
        """Work until the link is stopped; raises what the link or the storage cannot go on after."""
        device, link, board = self._client, self._link, self._board
        linking = asyncio.create_task(link.run())
        while not linking.done():
            now_ms = self._now_ms()
            if device.online and not link.connected:
                device.disconnected()
            gc.collect()
            if board.heap_free() < 10_000:  # then the outbox takes no more statements than it has
                device.outbox.limit(max(IN_FLIGHT_MAX, device.outbox.waiting))
            if device.sample_due(now_ms):
                device.sample(board.readings(now_ms), now_ms)
            for topic, message in device.tick(now_ms):
                # A message that does not get out comes again: with the next connection, or when its time is over.
                if not await link.publish(topic, message):
                    break
            topic = message = None
            self._tell()
            await mqtt_wire.wait(self._wake, 500)
            self._wake.clear()
        await linking

    def _tell(self):
        """One line of JSON whenever one of its counts has changed."""
        device = self._client
        outbox = device.outbox
        refused = dict(outbox.settled)
        receipts = refused.pop(0, 0)
        said = (
            "true" if self._link.connected else "false",
            "true" if outbox.enrolled else "false",
            device.counters.get("reports", 0),
            receipts,
            outbox.waiting,
            device.beacon.number if device.beacon else -1,
            json.dumps(refused),
            self._proofs(),
        )
        if said != self._said:
            self._said = said
            print(
                '{"online": %s, "enrolled": %s, "reports": %d, "receipts": %d, "pending": %d, "beacon": %d,'
                ' "refused": %s, "proofs": %s, "device": "%s", "boot": %d, "heap_free": %d}'
                % (said + (device.device_id.hex(), device.boot, self._board.heap_free()))
            )

    def _proofs(self):
        """How many payouts were verified, what is not there, is wrong, or did not come; null without room for it."""
        asker = self._client.asker
        if asker is None:
            return "null"
        state = asker.state
        counts = (state.verified, state.absent, state.wrong, state.missing)
        return '{"verified": %d, "absent": %d, "wrong": %d, "missing": %d}' % counts

    async def stop(self):
        """Say DISCONNECT and close, in two seconds."""
        stopping = asyncio.create_task(self._link.stop())
        for _ in range(40):
            if stopping.done():
                break
            await mqtt_wire.sleep_ms(50)

    def main(self):
        """Run until Ctrl-C; the exit code."""
        try:
            asyncio.run(self.run())
        except KeyboardInterrupt:
            asyncio.run(self.stop())
        return 0
