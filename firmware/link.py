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

import mqtt_packets
from mqtt_packets import CONNACK, OVERSIZED, PUBACK, PUBLISH, SUBACK, Malformed
from mqtt_wire import Clock, Lost, Wire

_BACK_OFF_BASE_MS = 1_000
_BACK_OFF_CAP_MS = 60_000
_COUNTERS = (
    "connects failed lost timeouts malformed subscription_refused subscription_downgraded oversized received published"
    " puback_timeouts"
).split()
_REFUSALS = ("", "protocol", "client_id", "unavailable", "credentials", "unauthorized")  # 3.2.2.3


def random_below(limit):
    """0 <= n < limit <= 2^24."""
    return int.from_bytes(os.urandom(3), "big") % limit


def back_off_ms(attempt, random=random_below):
    """How long to wait before connection attempt `attempt` + 2: full jitter, never as long as a minute."""
    return random(min(_BACK_OFF_CAP_MS, _BACK_OFF_BASE_MS << min(attempt, 6)))


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
        wire = self._wire = Wire(self._clock, self._decoder, self._wake)
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
