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
from counter import Counter as Counter

NO_MEMORY_MAX = 5  # attempts at TLS in a row without room: the heap is in pieces, and only a new start mends it
IN_FLIGHT_MAX = 4  # a tick hands out so many messages of 1 KiB at once


def signer(seed):
    return lambda message: ed25519.sign(seed, message)


def forget_proofs():
    """What checks proofs is read again for the next one: it is too much to hold between two epochs."""
    forget("device_client.core.proofs", "device_client.core.merkle")


def forget(*names):
    """Drop modules that are read again when they are needed again."""
    for name in names:
        package, _, last = name.rpartition(".")
        if sys.modules.pop(name, None) and package:
            delattr(sys.modules[package], last)
    gc.collect()


class Shell:
    """One device. `start.py` makes the parts. `updating` is set on a board that takes updates over the network."""

    updating = None

    def __init__(self, client, link, board, now_ms, token_seed):
        self._client = client
        self._token_seed = token_seed
        self._contact = None
        self._link = link
        self._board = board
        self._now_ms = now_ms
        self._said = None
        self._wake = mqtt_wire.Event()
        link.on_connect = self._connected
        link.on_refused = self._wake.set
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
            if self._contact is not None or self._is_unknown(now_ms):
                await self._make_contact(now_ms)
            elif self.updating is not None:
                for message in self.updating.step(now_ms):
                    await link.publish(device.up_topic, message)
            topic = message = None
            self._look_at_link()
            self._tell()
            board.feed(now_ms)
            busy = self.updating is not None and self.updating.busy
            await mqtt_wire.wait(self._wake, 10 if busy else 500)
            self._wake.clear()
        await linking

    def _look_at_link(self):
        link = self._link
        if link.no_memory >= NO_MEMORY_MAX:
            self._board.restart("no room for TLS")
        if link.certificate:
            import certificate

            certificate.tell(self._client, link, self._board)
            forget("certificate", "device_client.core.notices")

    def _is_unknown(self, now_ms):
        """Whether the broker has refused this device since the last look, and another way in may be tried."""
        refused = self._link.counters
        if not (refused.get("refused_4") or refused.get("refused_5")) or not self._client.may_enroll(now_ms):
            return False
        refused["refused_4"] = refused["refused_5"] = 0
        return True

    async def _make_contact(self, now_ms):
        if self._contact is None:
            import contact

            gc.collect()
            self._contact = contact.Contact(self._client, self._link, self._token_seed, self._wake, now_ms)
        if not await self._contact.step(now_ms):
            self._contact = None
            forget("contact", "device_client.core.secret")

    def _tell(self):
        """One line of JSON whenever one of its counts has changed. `proofs`: how many payouts were verified, what is
        not there, is wrong, or did not come."""
        device = self._client
        outbox = device.outbox
        proofs = "null"  # without room for them
        if device.asker is not None:
            state = device.asker.state
            counts = (state.verified, state.absent, state.wrong, state.missing)
            proofs = '{"verified": %d, "absent": %d, "wrong": %d, "missing": %d}' % counts
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
            proofs,
        )
        if said != self._said:
            self._said = said
            print(
                '{"online": %s, "enrolled": %s, "reports": %d, "receipts": %d, "pending": %d, "beacon": %d,'
                ' "refused": %s, "proofs": %s, "device": "%s", "boot": %d, "heap_free": %d}'
                % (said + (device.device_id.hex(), device.boot, self._board.heap_free()))
            )

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
