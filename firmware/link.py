"""The MQTT 3.1.1 link: one connection that is always being kept or being made.

Theory of operation. `run` owns everything and makes one session after the other. A session is two tasks: `_converse`
opens the connection, says CONNECT and SUBSCRIBE and then takes packets until something breaks; `_session`, in the task
of `run`, alone looks at the clock: it limits the connecting, sends pings and declares a silent link lost. It never
waits for the network, so a socket that hangs in either direction is noticed. Between sessions `run` waits for a random
time (full jitter), so that a thousand devices do not come back to a restarted broker within one second.

A PUBACK only says that the broker has a message, not that anybody keeps it; what must not be lost is kept by the caller
until its signed receipt comes. So nothing is queued here: a publish without a link is False at once.

Trouble on the network never leaves `run`, it is counted. An exception of a callback is our own fault, and does. In here
OSError says that the connection cannot be made or has gone, whoever saw it.
"""

import gc
import os
from asyncio import CancelledError, create_task, current_task

import mqtt_packets
import mqtt_wire as wire
from mqtt_packets import Malformed


def random_below(limit):
    """0 <= n < limit <= 2^24."""
    return int.from_bytes(os.urandom(3), "big") % limit


def back_off_ms(attempt, random=random_below):
    """How long to wait before connection attempt `attempt` + 2: full jitter, never as long as a minute."""
    return random(min(60_000, 1_000 << min(attempt, 6)))


class Link:
    """See `run`, `publish` and `stop`. Single use: after `stop` make a new one."""

    packet_bytes_max = 4096  # body of one received packet
    body = None  # where it goes; who starts in a small heap makes it while that is empty
    connect_timeout_ms = 20_000  # from the first SYN to the SUBACK
    puback_timeout_ms = 5_000

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
        clock=wire,
    ):
        """Topics are str. `received(topic: str, payload: bytes)` is called for each message before it is acknowledged,
        and may see one twice. `random(n)` gives 0 <= value < n. `on_connect()` may be set; it is called whenever the
        subscriptions have been acknowledged; `on_refused()` when the server does not let us in, or we refuse it. `ssl`
        is a context; set its `verify_mode` to CERT_REQUIRED: a context of MicroPython verifies nothing by default.
        `counters` counts events by name, each absent until it happens:

        connects: links that came up. failed: attempts that did not. lost: links that went, other than by `stop`.
        timeouts: sessions ended for silence. malformed: sessions ended for forbidden bytes. refused_<code>: by the
        server (3.2.2.3), refused_certificate: by us. subscription_refused, subscription_downgraded: topics granted not
        at all, at QoS 0; the link stays up. oversized: dropped packets. received. published: publishes that were True.
        puback_timeouts: attempts at QoS 1 that stayed unanswered. no_memory: connections without room for TLS.

        `certificate` is what was wrong with the newest that we refused; `no_memory`: attempts in a row without room.
        """
        self.connected = self.running = False
        self.counters = {}
        self.certificate = ""
        self.no_memory = 0
        self.on_connect = self.on_refused = self._fault = None
        self._address = host, port, ssl
        self._hello = mqtt_packets.connect(client_id, username, password, keepalive_s)
        self._topics = subscriptions
        self.received = received
        self._quarter_ms = keepalive_s * 250
        self._random = random
        self._clock = clock
        self._decoder = mqtt_packets.Decoder(self.packet_bytes_max, self.body)
        self._stream = self._sender = None  # the connection, until it breaks; the task that is writing to it
        self._wake = wire.Event()  # for `run`: the link is up, or broken, or to be stopped
        self._puback = wire.Event()  # the awaited PUBACK came (then the awaited id is 0), or never will
        self._id = self._awaited_id = self._heard_ms = self._sent_ms = 0
        self._stopping = self._in_flight = False

    async def run(self):
        """Keep a link until `stop`. Raises only what a callback raised, and MemoryError of a link that is up."""
        self.running = True
        attempt = 0
        try:
            while not self._stopping:
                if await self._session():
                    attempt = 0
                self._wake.clear()
                ms = back_off_ms(attempt, self._random)
                if not self._stopping:
                    await self._clock.wait(self._wake, ms)
                attempt += 1
        finally:
            self.running = False

    async def stop(self):
        """Say DISCONNECT, close, and return when `run` has returned."""
        self._stopping = True
        self._wake.set()
        while self.running:
            await wire.sleep_ms(10)

    def login(self, hello, topics):
        """Be somebody else: this CONNECT and these subscriptions from now on, on a new connection. Those of before."""
        before = self._hello, self._topics
        self._hello, self._topics = hello, topics
        self._stream = None
        self._wake.set()
        return before

    def hurry(self):
        """The network is there: do not wait for the next attempt."""
        if not self._stream:
            self._wake.set()

    def lose(self):
        """The network has gone, as whoever knows it says: do not wait for silence."""
        self._break(self._stream)

    async def publish(self, topic, payload, qos=0):
        """QoS 0: True once the system has all bytes. QoS 1: True on PUBACK; sent again with DUP set when none comes.

        False without a link, or when it went, or when all attempts stayed unanswered. ValueError above 1024 bytes. One
        message at QoS 1 is under way at a time, others wait their turn.
        """
        if len(payload) > 1024:
            raise ValueError("message_bytes_max")
        while qos and self._in_flight:
            await wire.sleep_ms(10)
        if not self.connected:
            return False
        stream, packet_id = self._stream, 0
        if qos:
            packet_id = self._next_id()
        packet = mqtt_packets.publish(topic, payload, packet_id)
        if qos:
            self._in_flight = True
            self._awaited_id = packet_id
            self._puback.clear()
        try:
            for _ in range(3):
                await self._send(stream, packet)
                if not qos or await self._clock.wait(self._puback, self.puback_timeout_ms):
                    break
                self._count("puback_timeouts")
                packet[0] |= 8  # DUP (3.3.1.1)
            if qos and self._awaited_id:
                return False
        except (OSError, ValueError):
            return False
        finally:
            if qos:
                self._in_flight = False
        self._count("published")
        return True

    async def _send(self, stream, packet):
        """Write a whole packet; every byte but those of `_say` passes through here."""
        while self._sender:
            await wire.sleep_ms(10)
        if not stream or stream is not self._stream:
            raise OSError
        self._sender = current_task()
        try:
            await wire.write(stream, packet)
        except (OSError, ValueError):
            self._break(stream)
            raise
        except CancelledError:
            if not self._sender:  # by `_session`, not by the owner of the task
                raise OSError from None
            self._break(stream)  # half a packet may be out, nothing can follow it
            raise
        finally:
            self._sender = None
        self._sent_ms = self._clock.ticks_ms()

    def _say(self, packet):
        """Write a packet of two bytes without waiting; not at all while another one is on its way."""
        if self._stream and not self._sender:
            try:
                if wire.write_now(self._stream, packet) == 1:
                    raise OSError
            except OSError:
                self._break(self._stream)
            self._sent_ms = self._clock.ticks_ms()

    def _break(self, stream):
        """Nothing more will come or go; wakes `run`. Not if there is another connection by now."""
        if stream is self._stream:
            self._stream = None
            self._wake.set()

    async def _session(self):
        """One connection from its first byte to its last. True: it stayed up for a whole keepalive, it was good."""
        gc.collect()
        self._decoder.reset()
        self._wake.clear()
        clock, quarter_ms, good = self._clock, self._quarter_ms, False
        conversation = create_task(self._converse())
        try:
            if not await clock.wait(self._wake, self.connect_timeout_ms):
                self._count("timeouts")
            up_ms = clock.ticks_ms()
            while self.connected and self._stream and not self._stopping:
                self._wake.clear()
                await clock.wait(self._wake, quarter_ms)
                silent_ms = clock.elapsed_ms(self._heard_ms)
                if silent_ms >= 3 * quarter_ms:  # looked at every quarter: noticed before the whole keepalive is over
                    self._count("timeouts")
                    break
                # Who only sends must ping, too: nothing else makes the server answer.
                if max(silent_ms, clock.elapsed_ms(self._sent_ms)) >= quarter_ms // 2:
                    self._say(b"\xc0\x00")  # PINGREQ
                # A broker that drops us soon after each CONNACK does not get us back every half second.
                good = good or clock.elapsed_ms(up_ms) >= 4 * quarter_ms
        finally:
            if not self._stopping:
                self._count("lost" if self.connected else "failed")
            elif self.connected:
                self._say(b"\xe0\x00")  # DISCONNECT
            self.connected = False
            self._stream = None
            self._puback.set()
            # MicroPython forgets a task that waits to write when one that waits to read the same socket is cancelled.
            sender, self._sender = self._sender, None
            if sender:
                sender.cancel()
            conversation.cancel()
            await conversation
            if self._fault:
                raise self._fault
        return good

    async def _converse(self):
        """Connect, subscribe, take packets. Never raises: what is our own fault is left in `_fault`."""
        stream = None
        expected, decoder, topics = 2, self._decoder, self._topics
        try:
            stream = self._stream = await wire.connect(*self._address)
            await self._send(stream, self._hello)
            while True:
                packet = None
                while not packet:
                    count = await wire.read(stream, decoder.window())
                    if count == 0:
                        raise OSError
                    if count:
                        packet = decoder.received(count)
                self._heard_ms = self._clock.ticks_ms()
                kind, packet_id, codes, topic, payload = packet
                if kind == expected:  # CONNACK, then SUBACK, before which retained messages may come (3.8.4)
                    expected = -1
                    if kind == 2:
                        if codes[0]:
                            self._count("refused_%d" % codes[0])
                            if self.on_refused:
                                self.on_refused()
                            return
                        if topics:
                            expected = 9
                            await self._send(stream, mqtt_packets.subscribe(self._next_id(), topics))
                            continue
                    elif packet_id != self._id or len(codes) != len(topics):
                        raise Malformed
                    elif max(code & 0x7F for code in codes) > 1:
                        raise Malformed
                    else:
                        for code in codes:
                            if code != 1:
                                self._count("subscription_" + ("refused" if code else "downgraded"))
                    self.connected = True
                    self.no_memory = 0
                    self._count("connects")
                    self._wake.set()
                    if self.on_connect:
                        self._call(self.on_connect)
                elif kind == 2 or kind == 9 or expected == 2:
                    raise Malformed
                elif kind == 4:
                    if packet_id == self._awaited_id:  # others are late answers to what was sent twice or given up
                        self._awaited_id = 0
                        self._puback.set()
                elif kind != 13:
                    if kind:
                        self._count("received")
                        self._call(self.received, topic, payload)
                    else:
                        self._count("oversized")
                    if packet_id:
                        await self._send(stream, mqtt_packets.puback(packet_id))
        except Malformed:
            self._count("malformed")
        except (OSError, CancelledError, ValueError, MemoryError) as trouble:
            if isinstance(trouble, MemoryError) and self.connected:
                self._fault = trouble  # of a callback
            elif isinstance(trouble, MemoryError) or getattr(trouble, "errno", 0) == 12:  # ENOMEM, from mbedtls
                self.no_memory += 1
                self._count("no_memory")
            # Both interpreters make a certificate that does not fit a ValueError; MicroPython only when it first reads.
            elif isinstance(trouble, ValueError):
                self.certificate = str(trouble)
                self._count("refused_certificate")
                if self.on_refused:
                    self.on_refused()
        except Exception as fault:
            self._fault = fault
        finally:
            self._break(self._stream)
            if stream:
                wire.close(stream)

    def _call(self, callback, *arguments):
        try:
            callback(*arguments)
        except Exception as fault:
            self._fault = fault
            raise OSError from None

    def _next_id(self):
        self._id = self._id % 0xFFFF + 1
        return self._id

    def _count(self, name):
        self.counters[name] = self.counters.get(name, 0) + 1
