"""MQTT 3.1.1 without I/O: what a client sends, as bytes; what a server sends, as `Packet` values.

Theory of operation. The decoder never asks for more bytes than the packet at hand still has, so nothing is read ahead
and one buffer, made once, is all the memory that receiving takes. The reader copies bytes into `window()` and says with
`received(n)` how many came. A packet that is larger than the buffer is read over the same buffer again and again and
comes out as `OVERSIZED`: the stream stays in step. Whatever 3.1.1 does not let a server send to this client, which
never asks for QoS 2 and never unsubscribes, is `Malformed`; the only cure is a new connection (4.8).

Section numbers are those of the OASIS standard MQTT Version 3.1.1. Runs on CPython and MicroPython.
"""

from collections import namedtuple

OVERSIZED, CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 0, 2, 3, 4, 9, 13  # 2.2.1; 0 is reserved there, and ours
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
DUP = 0x08  # or this into the first byte of a publish that is sent again (3.3.1.1)
SUBSCRIPTION_REFUSED = 0x80

_BODY_BYTES = {CONNACK: 2, PUBACK: 2, PINGRESP: 0}

# packet_id: 0 where the packet has none. codes: the return codes of a CONNACK or SUBACK.
Packet = namedtuple("Packet", ("kind", "packet_id", "codes", "topic", "payload"))


class Malformed(Exception):
    """These bytes are not MQTT 3.1.1 from a server to this client; the message says what is wrong with them."""


def connect(client_id, username, password, keepalive_s, clean=True):
    """CONNECT (3.1) with credentials and without a will. Text is str, or bytes that are sent as they are."""
    flags = 0xC2 if clean else 0xC0
    head = b"\x00\x04MQTT\x04" + bytes((flags,)) + _uint16(keepalive_s)
    return _packet(0x10, head, _field(client_id), _field(username), _field(password))


def subscribe(packet_id, topics):
    """SUBSCRIBE (3.8) to each topic at QoS 1."""
    parts = [_uint16(packet_id)]
    for topic in topics:
        parts.append(_field(topic))
        parts.append(b"\x01")
    return _packet(0x82, *parts)


def publish(topic, payload, packet_id=0):
    """PUBLISH (3.3): QoS 1 under `packet_id`, or QoS 0 where that is 0. A bytearray, so that DUP can be set in it."""
    if packet_id:
        return _packet(0x32, _field(topic), _uint16(packet_id), payload)
    return _packet(0x30, _field(topic), payload)


def puback(packet_id):
    """PUBACK (3.4)."""
    return b"\x40\x02" + _uint16(packet_id)


class Decoder:
    """The receiving half. `window()` and `received()` take turns; after `Malformed` only `reset()` helps."""

    def __init__(self, packet_bytes_max):
        """A packet whose part behind the fixed header exceeds `packet_bytes_max` comes out as `OVERSIZED`."""
        self._head = memoryview(bytearray(5))
        self._body = memoryview(bytearray(packet_bytes_max))
        self._body_bytes_max = packet_bytes_max
        self.reset()

    def reset(self):
        """Forget the half packet of an old connection."""
        self._in_head = True
        self._filled = 0  # bytes of the head, later of the body, that are here
        self._length = 0  # remaining length (2.2.3), valid once the head is whole
        self._drained_id = 0

    def window(self):
        """Where the next bytes belong: a memoryview of at least one byte."""
        if self._in_head:
            # Every packet has two bytes; after them the length says byte by byte whether there is more of it.
            return self._head[self._filled : max(2, self._filled + 1)]
        if self._filled < self._body_bytes_max:
            return self._body[self._filled : min(self._length, self._body_bytes_max)]
        return self._body[: min(self._length - self._filled, self._body_bytes_max)]

    def received(self, count):
        """Take the `count` >= 1 bytes that were put into `window()`. The packet that they complete, or None."""
        filled = self._filled
        self._filled += count
        if self._in_head:
            if self._filled < 2 or not self._head_is_whole():
                return None
            self._in_head = False
            self._filled = 0
        elif filled < self._body_bytes_max <= self._filled and self._length > self._body_bytes_max:
            # The next read goes over these bytes; QoS 1 must be acknowledged all the same, or it comes for ever.
            _, self._drained_id, _ = self._publish_head(self._body_bytes_max)
        if self._filled < self._length:
            return None
        packet = self._packet()
        self.reset()
        return packet

    def _head_is_whole(self):
        """Whether the remaining length is complete. What is wrong with the bytes so far is found at once."""
        kind, flags = self._head[0] >> 4, self._head[0] & 0x0F
        if kind != PUBLISH and kind != SUBACK and kind not in _BODY_BYTES:
            raise Malformed("packet type")
        last = self._head[self._filled - 1]
        if last & 0x80:
            if self._filled == 5:
                raise Malformed("remaining length")
            return False
        length = 0
        for index in range(self._filled - 1, 0, -1):
            length = length << 7 | self._head[index] & 0x7F
        if kind == PUBLISH:
            # DUP on QoS 0 is forbidden (3.3.1.1) but harmless: not worth losing a link to a sloppy broker.
            if flags >> 1 & 3 > 1:
                raise Malformed("publish flags")
        elif kind == SUBACK:
            if flags or not 3 <= length <= self._body_bytes_max:
                raise Malformed("suback")
        elif flags or length != _BODY_BYTES[kind]:
            raise Malformed("flags or length")
        self._length = length
        return True

    def _packet(self):
        body, length, kind = self._body, self._length, self._head[0] >> 4
        if length > self._body_bytes_max:
            return Packet(OVERSIZED, self._drained_id, b"", "", b"")
        if kind == PUBLISH:
            topic_end, packet_id, payload_start = self._publish_head(length)
            if payload_start > length:
                raise Malformed("topic length")
            return Packet(PUBLISH, packet_id, b"", _topic(body[2:topic_end]), bytes(body[payload_start:length]))
        if kind == PINGRESP:
            return Packet(PINGRESP, 0, b"", "", b"")
        if kind == CONNACK:
            if body[0] & 0xFE:
                raise Malformed("connack flags")
            return Packet(CONNACK, 0, bytes(body[1:2]), "", b"")
        packet_id = body[0] << 8 | body[1]
        if not packet_id:
            raise Malformed("packet id")  # 2.3.1
        return Packet(kind, packet_id, bytes(body[2:length]), "", b"")

    def _publish_head(self, visible):
        """(end of the topic, packet id, start of the payload) of a PUBLISH of whose body `visible` bytes are here."""
        body = self._body
        end = start = (body[0] << 8 | body[1]) + 2 if visible >= 2 else 2
        packet_id = 0
        if self._head[0] & 0x06:
            start += 2
            if start <= visible:
                packet_id = body[end] << 8 | body[end + 1]
                if not packet_id:
                    raise Malformed("packet id")  # 2.3.1
        if end == 2:
            raise Malformed("no topic")  # 4.7.3
        return end, packet_id, start


def _topic(raw):
    try:
        topic = str(raw, "utf-8")
    except UnicodeError:
        raise Malformed("topic text") from None
    if "\x00" in topic or "+" in topic or "#" in topic:  # 4.7.3, 3.3.2.1
        raise Malformed("topic characters")
    return topic


def _packet(first, *parts):
    """A whole packet: first byte, remaining length (2.2.3) and the parts behind it."""
    length = sum(len(part) for part in parts)
    packet = bytearray((first,))
    while length > 0x7F:
        packet.append(length & 0x7F | 0x80)
        length >>= 7
    packet.append(length)
    for part in parts:
        packet.extend(part)
    return packet


def _field(text):
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > 0xFFFF:
        raise ValueError("text exceeds 65535 bytes")
    return _uint16(len(raw)) + raw


def _uint16(number):
    return number.to_bytes(2, "big")
