"""One MQTT 5 connection on an asyncio transport: bytes in, packets out, with back-pressure both ways and keep-alive.

`mqtt5` only encodes and decodes. What is read is decoded packet by packet in one loop without an await. When the
consumer has no room the loop stops where it is: the rest is held, the socket is not read, and the broker notices.
"""

import asyncio
import contextlib
from collections import deque
from typing import Any, cast

import mqtt5
from mqtt5 import PublishPacket

from .transport import ANSWER_S, PACKET_BYTES_MAX, WAITING_MAX, WRITE_BYTES_MAX, LinkLost, Received, UnsupportedVersion

_LENGTH_BYTES_MAX = 4
_CONNACK_OF_3 = b"\x20\x02"  # two bytes long: version 5 has at least three
_WRONG_VERSION_OF_3 = 1


class Mqtt5Connection(asyncio.Protocol):
    """`received(topic, payload)` is called for every PUBLISH from `serve` on. `over` fails when the session ends."""

    def __init__(self, received: Received) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._received = received
        self._transport: asyncio.Transport | None = None
        self._held = b""  # not decoded yet: a part of a packet, or what the consumer has no room for
        self._early: deque[tuple[str, bytes]] = deque()
        self._is_serving = False
        self._is_full = False
        self._drained = asyncio.Event()
        self._drained.set()
        self._answers: dict[tuple[type[Any], int], asyncio.Future[Any]] = {}
        self._heard = False
        self._ping: asyncio.TimerHandle | None = None
        self.over: asyncio.Future[None] = loop.create_future()
        self.over.add_done_callback(lambda over: over.exception())  # nobody may be waiting for it
        self.closed = asyncio.Event()
        self.dropped = 0

    # THE SOCKET

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)

    def connection_lost(self, error: Exception | None) -> None:
        self.end(LinkLost(str(error or "the broker closed the connection")))
        self.closed.set()

    def end(self, error: Exception) -> None:
        """The session is over for this reason; the first one counts."""
        if self.over.done():
            return
        self.over.set_exception(error)
        self._drained.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(_as_lost(error))
        if self._ping is not None:
            self._ping.cancel()
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what is written and a DISCONNECT; `closed` follows."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(mqtt5.DisconnectPacket().write())
            self._transport.close()

    @property
    def has_heard(self) -> bool:
        return self._heard

    # WRITING

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    async def write(self, data: bytes) -> None:
        """Returns when the broker has read enough of it. Raises LinkLost."""
        self._write(data)
        if not self._drained.is_set():
            await self._drained.wait()
            self._check()

    async def asked(self, data: bytes, kind: type[Any], packet_id: int = 0) -> Any:
        """Write, and wait for the packet that answers. Raises LinkLost."""
        answer = self._answers[kind, packet_id] = self._loop.create_future()
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.write(data)
                return await answer
        except TimeoutError:
            raise LinkLost(f"no {kind.__name__.removesuffix('Packet')} in {ANSWER_S:g} s") from None
        finally:
            del self._answers[kind, packet_id]
            if answer.done() and not answer.cancelled():
                answer.exception()  # it was raised by `write` already

    def _write(self, data: bytes) -> None:
        self._check()
        if self._transport is None or self._transport.is_closing():  # uvloop raises a RuntimeError then
            raise LinkLost("the connection is closed")
        self._transport.write(data)

    def _check(self) -> None:
        if self.over.done():
            raise _as_lost(self.over.exception())

    # READING

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._held:
            data, self._held = self._held + data, b""
        self._decode(data)

    def _decode(self, data: bytes) -> None:
        """Deliver whole packets as long as there is room; hold the rest."""
        if self._is_serving and self._is_full:
            self._held = data
            return
        read, received, is_serving = mqtt5.read, self._received, self._is_serving
        view, at, size = memoryview(data), 0, len(data)
        try:
            while at < size:
                try:
                    packet, length = read(view[at:])
                except IndexError:
                    if _is_partial(data, at):
                        break
                    raise LinkLost("the broker sent a packet that is shorter than it says") from None
                except ValueError as error:
                    raise _not_a_packet(data, at, error) from error
                except BaseException as error:
                    # The decoder panics on text that is not UTF-8, and a panic is no Exception.
                    if type(error).__name__ != "PanicException":
                        raise
                    raise LinkLost(f"the broker sent what cannot be decoded: {error}") from None
                at += length
                if type(packet) is not PublishPacket:
                    self._control(packet)
                elif is_serving:
                    received(packet.topic, packet.payload)
                    if self._is_full:
                        break
                else:
                    self._keep(packet)
        except Exception as error:
            self.end(error)
        else:
            self._held = data[at:] if at < size else b""

    def _keep(self, packet: PublishPacket) -> None:
        if len(self._early) < WAITING_MAX:
            self._early.append((packet.topic, packet.payload))
        else:
            self.dropped += 1

    def _control(self, packet: Any) -> None:
        if isinstance(packet, mqtt5.DisconnectPacket):
            raise LinkLost(f"the broker ends the session: {packet.reason_code.name.lower()}")
        answer = self._answers.get((type(packet), getattr(packet, "packet_id", 0)))
        if answer is not None and not answer.done():
            answer.set_result(packet)

    # ROOM AT THE CONSUMER

    def serve(self) -> None:
        """From now on deliver, beginning with what came before."""
        self._is_serving = True
        if self._is_full:
            self.pause()
        self._go_on()

    def pause(self) -> None:
        self._is_full = True
        if self._is_serving and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._is_full:
            self._is_full = False
            # Not from within the consumer, who may be about to say that it is full again.
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self._is_serving or self._transport is None:
            return
        try:
            while self._early and not self._is_full:
                self._received(*self._early.popleft())
        except Exception as error:
            self.end(error)
        if not self._is_full and not self.over.done():
            data, self._held = self._held, b""
            self._decode(data)
        if not self._is_full and not self._transport.is_closing():
            self._heard = True
            self._transport.resume_reading()

    # KEEP-ALIVE

    def keep_alive(self, seconds: int) -> None:
        """Ping twice in that time, and end the session when nothing comes back; 0 means never."""
        if seconds:
            self._ping = self._loop.call_later(seconds / 2, self._tick, seconds)

    def _tick(self, seconds: int) -> None:
        # Who does not read hears no answer. But a broker that does not read either would wait for us for ever.
        if not self._heard and not (self._is_full and self._drained.is_set()):
            self.end(LinkLost(f"the broker is silent for {seconds / 2:g} s"))
            return
        self._heard = False
        with contextlib.suppress(LinkLost):
            self._write(mqtt5.PingReqPacket().write())
            self.keep_alive(seconds)


def _as_lost(error: BaseException | None) -> LinkLost:
    """For everybody but `serve`, who is told what the consumer raised."""
    return error if isinstance(error, LinkLost) else LinkLost(str(error))


def packet_bytes(data: bytes, at: int) -> int:
    """The length that a packet announces, with its head; 0 while the head is not whole. Raises LinkLost."""
    length = shift = 0
    for place, byte in enumerate(data[at + 1 : at + 1 + _LENGTH_BYTES_MAX], 1):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return 1 + place + length
    return 0


def _is_partial(data: bytes, at: int) -> bool:
    """Whether more bytes can make it a packet. Raises LinkLost: it would be larger than we said we take."""
    announced = packet_bytes(data, at)
    if announced > PACKET_BYTES_MAX:
        raise LinkLost(f"the broker sends a packet of {announced} bytes, more than {PACKET_BYTES_MAX}")
    return announced == 0 or announced > len(data) - at


def _not_a_packet(data: bytes, at: int, error: Exception) -> LinkLost:
    answer = data[at : at + 4]
    if answer[:2] == _CONNACK_OF_3 and len(answer) == 4:
        if answer[3] == _WRONG_VERSION_OF_3:
            return UnsupportedVersion("the broker speaks MQTT 3.1.1 only")
        return LinkLost(f"the broker refuses the connection with code {answer[3]} of MQTT 3.1.1")
    return LinkLost(f"the broker sent a malformed packet: {error}")
