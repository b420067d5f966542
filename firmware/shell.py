"""The shell around the portable client: the link, a counter of milliseconds, the sensors, the status line.

Theory of operation. One loop owns the client: it samples, ticks, and publishes what the tick hands out, all of which is
durable by then. It sleeps until the link has brought something, but never longer than `_TICK_MS`. The rules are in
`device_client.core`; nothing here decides anything but when.
"""

import asyncio
import gc
import json

import ed25519
import identity
import link
import provisioning
from device_client.core import client, cose, secret, statement
from device_client.core.outbox import Outbox

_TICK_MS = 500
_STOP_S = 2
_HEAP_FLOOR_BYTES = 10_000  # below this, after a collection, the outbox takes no more statements than it has
_IN_FLIGHT_MAX = 4  # a tick hands out so many messages of 1 KiB at once
_PACKET_BYTES_MAX = 2_048  # a sheet or a beacon has 1 KiB at most, fifteen certificates fit
_OUTCOME_OK = 0


class Counter:
    """Milliseconds since start, from ticks that wrap. Ask at least every TICKS_PERIOD / 2."""

    def __init__(self, board):
        self._board = board
        self._last = board.ticks_ms()
        self._total_ms = 0

    def now_ms(self):
        ticks = self._board.ticks_ms()
        self._total_ms += (ticks - self._last) % self._board.TICKS_PERIOD
        self._last = ticks
        return self._total_ms


class Shell:
    """One device. `given` is what `provisioning.load` returns; the key (`seed`) and the outbox belong together."""

    def __init__(self, given, seed, outbox, board, say=print):
        self._board = board
        self._outbox = outbox
        self._say = say
        self._said = None
        self._now_ms = Counter(board).now_ms
        self._wake = asyncio.Event()
        token_seed = given["token_seed"]
        public = ed25519.public_key(seed)
        signature = ed25519.sign(token_seed, statement.token_message(given["genesis"], public))
        config = client.Config(
            given["network"],
            given["genesis"],
            given["root_key"],
            public,
            ed25519.public_key(token_seed),
            signature,
            given["interval_s"],
            given["beacon_interval_s"],
            board.CHANNELS,
            given["readings_public"],
            retry_ms=given["retry_ms"],
        )
        client.IN_FLIGHT_MAX = _IN_FLIGHT_MAX
        self.client = client.Client(
            config, outbox, lambda message: ed25519.sign(seed, message), ed25519.verify, board.random, self._now_ms()
        )
        name = cose.signer_id(public).hex()
        self._name = name
        link.Link.packet_bytes_max = _PACKET_BYTES_MAX
        self.link = link.Link(
            given["host"],
            given["port"],
            name,
            name,
            secret.broker_password(token_seed, self.client.device_id),
            (self.client.keys_topic, self.client.down_topic, self.client.beacon_topic),
            self._received,
        )
        self.link.on_connect = self._connected

    def _connected(self):
        self.client.connected(self._now_ms())
        self._wake.set()

    def _received(self, topic, payload):
        self.client.received(topic, payload, self._now_ms())
        self._wake.set()

    async def run(self):
        """Work until the link is stopped; raises what the link or the storage cannot go on after."""
        linking = asyncio.create_task(self.link.run())
        while not linking.done():
            await self._step()
            self.tell()
            await link.Clock().wait(self._wake, _TICK_MS)
            self._wake.clear()
        await linking

    async def _step(self):
        device, now_ms = self.client, self._now_ms()
        if device.online and not self.link.connected:
            device.disconnected()
        gc.collect()
        if self._board.heap_free() < _HEAP_FLOOR_BYTES:
            self._outbox.limit(max(_IN_FLIGHT_MAX, len(self._outbox.pending)))
        if device.sample_due(now_ms):
            device.sample(self._board.readings(now_ms), now_ms)
        for topic, message in device.tick(now_ms):
            # A message that does not get out comes again: with the next connection, or when its time is over.
            if not await self.link.publish(topic, message):
                break

    def tell(self):
        """One line of JSON whenever one of its counts has changed."""
        device, settled = self.client, self._outbox.settled
        refused = {code: count for code, count in settled.items() if code != _OUTCOME_OK}
        said = (
            self.link.connected,
            self._outbox.enrolled,
            device.counters.get("reports", 0),
            settled.get(_OUTCOME_OK, 0),
            len(self._outbox.pending),
            device.beacon.number if device.beacon else -1,
            sum(refused.values()),
        )
        if said == self._said:
            return
        self._said = said
        line = dict(zip(("online", "enrolled", "reports", "receipts", "pending", "beacon"), said))
        line["device"] = self._name
        line["boot"] = device.boot
        line["refused"] = refused
        line["heap_free"] = self._board.heap_free()
        self._say(json.dumps(line))

    async def stop(self):
        """Say DISCONNECT and close."""
        try:
            await asyncio.wait_for(self.link.stop(), _STOP_S)
        except asyncio.TimeoutError:  # noqa: UP041 - MicroPython has no builtin of that name
            pass


def main(arguments, board):
    """Run the device of the provisioning file that `arguments` name, until Ctrl-C; the exit code."""
    if len(arguments) != 1:
        board.complain("usage: main.py PROVISIONING.json")
        return 2
    try:
        given = provisioning.load(arguments[0])
    except provisioning.Refused as refused:
        board.complain(str(refused))
        return 2
    folder = given["state_dir"]
    try:
        board.make_folder(folder)
        seed, outbox = identity.opened(folder, lambda storage: Outbox(storage, given["records_max"]), board)
        shell = Shell(given, seed, outbox, board)
    except (OSError, ValueError) as trouble:
        board.complain("state_dir %s: %s" % (folder, trouble))
        return 1
    try:
        asyncio.run(shell.run())
    except KeyboardInterrupt:
        asyncio.run(shell.stop())
    return 0
