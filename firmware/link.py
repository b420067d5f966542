"""The MQTT 3.1.1 link: one connection that is always being kept or being made. CPython and MicroPython.

Theory of operation. `run` owns everything and makes one session after the other. A session is two tasks: `_converse`
opens the connection, says CONNECT and SUBSCRIBE and then takes packets until something breaks; `_watch`, in the task of
`run`, alone looks at the clock: it limits the connecting, sends pings and declares a silent link lost. The watch never
waits for the network, so a socket that hangs in either direction is noticed. Between sessions `run` waits for a random
time (full jitter), so that a thousand devices do not come back to a restarted broker within one second.

A PUBACK only says that the broker has a message, not that anybody keeps it; what must not be lost is kept by the caller
until its signed receipt comes. So nothing is queued here: a publish without a link is False at once.

Trouble on the network never leaves `run`, it is counted. An exception of a callback is our own fault, and does.
"""

import asyncio
import gc
import os
import sys
import time

import mqtt_packets
from mqtt_packets import CONNACK, OVERSIZED, PUBACK, PUBLISH, SUBACK, Malformed

_MICROPYTHON = sys.implementation.name == "micropython"
_BACK_OFF_BASE_MS = 1_000
_BACK_OFF_CAP_MS = 60_000
_COUNTERS = (
    "connects failed lost timeouts malformed subscription_refused subscription_downgraded oversized received published"
    " puback_timeouts"
).split()
_REFUSALS = ("", "protocol", "client_id", "unavailable", "credentials", "unauthorized")  # 3.2.2.3


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


def random_below(limit):
    """0 <= n < limit <= 2^24."""
    return int.from_bytes(os.urandom(3), "big") % limit


def back_off_ms(attempt, random=random_below):
    """How long to wait before connection attempt `attempt` + 2: full jitter, never as long as a minute."""
    return random(min(_BACK_OFF_CAP_MS, _BACK_OFF_BASE_MS << min(attempt, 6)))


_TROUBLE = (OSError, ValueError)


def _lost(trouble):
    # Both interpreters make a certificate that does not fit a ValueError; MicroPython only in the first read or write.
    return Lost("refused_certificate") if isinstance(trouble, ValueError) else Lost()


class _Wire:
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


class Link:
    """See `run`, `publish` and `stop`. Single use: after `stop` make a new one."""

    message_bytes_max = 1024  # payload of one publish
    packet_bytes_max = 4096  # body of one received packet
    connect_timeout_ms = 20_000  # from the first SYN to the SUBACK
    puback_timeout_ms = 5_000
    publish_attempts_max = 3

    def __init__(
        self,
        host,
        port,
        client_id,
        username,
        password,
        subscriptions,
        received,
        *,
        keepalive_s=60,
        ssl=None,
        random=random_below,
        clean=True,
        clock=None,
    ):
        """Topics are str. `received(topic: str, payload: bytes)` is called for each message before it is acknowledged,
        and may see one twice. `random(n)` gives 0 <= value < n. `on_connect()` may be set; it is called whenever the
        subscriptions have been acknowledged. `ssl` is a context; set its `verify_mode` to CERT_REQUIRED: a context of
        MicroPython verifies nothing by default. `counters` counts events by name:

        connects: links that came up. failed: attempts that did not. lost: links that went, other than by `stop`.
        timeouts: sessions ended for silence. malformed: sessions ended for forbidden bytes. refused_<code>: by the
        server, refused_certificate: by us (these are absent until they happen). subscription_refused,
        subscription_downgraded: topics granted not at all, at QoS 0; the link stays up. oversized: dropped packets.
        received. published: publishes that were True. puback_timeouts: attempts at QoS 1 that stayed unanswered.
        """
        self.connected = False
        self.counters = dict.fromkeys(_COUNTERS, 0)
        self.on_connect = None
        self._address = host, port, ssl
        self._connect = mqtt_packets.connect(client_id, username, password, keepalive_s, clean)
        self._subscriptions = subscriptions
        self._received = received
        self._quarter_ms = keepalive_s * 250
        self._random = random
        self._clock = clock or Clock()
        self._decoder = mqtt_packets.Decoder(self.packet_bytes_max)
        self._wire = None
        self._wake = asyncio.Event()  # for the watch: the link is up, or broken, or to be stopped
        self._stop = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._in_flight = asyncio.Lock()
        self._puback = asyncio.Event()  # the awaited PUBACK came (then the awaited id is 0), or never will
        self._awaited_id = 0
        self._packet_id = 0
        self._fault = None

    async def run(self):
        """Keep a link until `stop`. Raises only what a callback raised, and MemoryError."""
        self._finished.clear()
        attempt = 0
        try:
            while not self._stop.is_set():
                if await self._session():
                    attempt = 0
                await self._clock.wait(self._stop, back_off_ms(attempt, self._random))
                attempt += 1
        finally:
            self._finished.set()

    async def stop(self):
        """Say DISCONNECT, close, and return when `run` has returned."""
        self._stop.set()
        self._wake.set()
        await self._finished.wait()

    async def publish(self, topic, payload, qos=0):
        """QoS 0: True once the system has all bytes. QoS 1: True on PUBACK; sent again with DUP set when none comes.

        False without a link, or when it went, or when all attempts stayed unanswered. ValueError above
        `message_bytes_max`. One message at QoS 1 is under way at a time, others wait their turn.
        """
        if len(payload) > self.message_bytes_max:
            raise ValueError("message_bytes_max")
        if qos == 0:
            done = self.connected and await self._send(self._wire, mqtt_packets.publish(topic, payload))
        else:
            async with self._in_flight:
                done = self.connected and await self._send_until_acknowledged(topic, payload)
        if done:
            self._count("published")
        return done

    async def _send_until_acknowledged(self, topic, payload):
        wire = self._wire
        packet_id = self._awaited_id = self._next_packet_id()
        packet = mqtt_packets.publish(topic, payload, packet_id)
        self._puback.clear()
        for _ in range(self.publish_attempts_max):
            if not await self._send(wire, packet):
                return False
            if await self._clock.wait(self._puback, self.puback_timeout_ms):
                return self._awaited_id == 0
            self._count("puback_timeouts")
            packet[0] |= mqtt_packets.DUP
        return False

    async def _send(self, wire, packet):
        try:
            await wire.send(packet)
        except Lost:
            return False
        return True

    async def _session(self):
        """One connection from its first byte to its last. True: it stayed up for a whole keepalive, it was good."""
        gc.collect()  # also closes a socket of MicroPython whose connecting was cancelled
        self._decoder.reset()
        self._wake.clear()
        wire = self._wire = _Wire(self._clock, self._decoder, self._wake)
        conversation = asyncio.create_task(self._converse(wire))
        try:
            return await self._watch(wire)
        finally:
            if self._stop.is_set():
                if self.connected:
                    wire.send_now(mqtt_packets.DISCONNECT)
            else:
                self._count("lost" if self.connected else "failed")
            self.connected = False
            wire.release()
            self._puback.set()
            conversation.cancel()
            try:
                await conversation
            finally:
                await wire.close()
            if self._fault is not None:
                raise self._fault

    async def _watch(self, wire):
        """Return when the session has to end."""
        clock, quarter_ms = self._clock, self._quarter_ms
        if not await clock.wait(self._wake, self.connect_timeout_ms):
            self._count("timeouts")
            return False
        up_ms, good = clock.ticks_ms(), False
        while self.connected and not wire.broken and not self._stop.is_set():
            self._wake.clear()
            await clock.wait(self._wake, quarter_ms)
            silent_ms = clock.elapsed_ms(wire.received_ms)
            if silent_ms >= 3 * quarter_ms:  # looked at every quarter: noticed before the whole keepalive is over
                self._count("timeouts")
                break
            # Who only sends must ping, too: nothing else makes the server answer.
            if max(silent_ms, clock.elapsed_ms(wire.sent_ms)) >= quarter_ms // 2:
                wire.send_now(mqtt_packets.PINGREQ)
            good = good or clock.elapsed_ms(up_ms) >= 4 * quarter_ms
        # A broker that drops us again and again soon after its CONNACK does not get us back every half second.
        return good

    async def _converse(self, wire):
        """Connect, subscribe, take packets. Never raises: what a callback raised is left in `_fault`."""
        try:
            await wire.open(*self._address)
            await wire.send(self._connect)
            connack = await wire.receive()
            if connack.kind != CONNACK:
                raise Malformed("no connack")
            code = connack.codes[0]
            if code:
                self._count("refused_" + (_REFUSALS[code] if code < len(_REFUSALS) else str(code)))
                return
            if self._subscriptions:
                await self._subscribe(wire)
            self.connected = True
            self._count("connects")
            self._wake.set()
            if self.on_connect:
                self.on_connect()
            while True:
                await self._take(wire, await wire.receive())
        except Malformed:
            self._count("malformed")
        except Lost as lost:
            for name in lost.args:
                self._count(name)
        except asyncio.CancelledError:
            pass
        except Exception as fault:
            self._fault = fault
        finally:
            wire.fail()

    async def _subscribe(self, wire):
        packet_id = self._next_packet_id()
        await wire.send(mqtt_packets.subscribe(packet_id, self._subscriptions))
        packet = await wire.receive()
        while packet.kind != SUBACK:  # retained messages may come first (3.8.4)
            await self._take(wire, packet)
            packet = await wire.receive()
        if packet.packet_id != packet_id or len(packet.codes) != len(self._subscriptions):
            raise Malformed("suback")
        for code in packet.codes:
            if code == mqtt_packets.SUBSCRIPTION_REFUSED:
                self._count("subscription_refused")
            elif code == 0:
                self._count("subscription_downgraded")
            elif code != 1:
                raise Malformed("suback code")

    async def _take(self, wire, packet):
        if packet.kind == PUBLISH or packet.kind == OVERSIZED:
            if packet.kind == PUBLISH:
                self._count("received")
                self._received(packet.topic, packet.payload)
            else:
                self._count("oversized")
            if packet.packet_id:
                await wire.send(mqtt_packets.puback(packet.packet_id))
        elif packet.kind == PUBACK:
            if packet.packet_id == self._awaited_id:  # others are late answers to what was sent twice or given up
                self._awaited_id = 0
                self._puback.set()
        elif packet.kind == CONNACK or packet.kind == SUBACK:
            raise Malformed("unexpected packet")

    def _next_packet_id(self):
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id

    def _count(self, name):
        self.counters[name] = self.counters.get(name, 0) + 1
