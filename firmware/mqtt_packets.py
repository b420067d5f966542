"""MQTT 3.1.1 without I/O: what a client sends, as bytes; what a server sends, as tuples.

Theory of operation. The decoder never asks for more bytes than the packet at hand still has, so nothing is read ahead
and one buffer, made once, is the memory that receiving takes, but for the rare large packet, which gets one of its own.
The reader copies bytes into `window()` and says with `received(n)` how many came. A packet that is larger than what
there is room for is read over the same buffer again and again and comes out as kind 0: the stream stays in step.
Whatever 3.1.1 does not let a server send to this client, which never asks for QoS 2 and never unsubscribes, is
`Malformed`; the only cure is a new connection (4.8).

A packet is (kind, packet id, codes, topic, payload). Kinds are those of 2.2.1: 2 CONNACK, 3 PUBLISH, 4 PUBACK,
9 SUBACK, 13 PINGRESP; 0, which is reserved there, is ours: dropped, too large. The packet id is 0 where a packet has
none; codes are the return codes of a CONNACK or SUBACK.

Section numbers are those of the OASIS standard MQTT Version 3.1.1. Runs on CPython and MicroPython, and holds as little
memory as it can: hence numbers for names, and reasons as numbers in comments.
"""

BODY_BYTES = 1_152  # a message of 1 KiB with its topic


class Malformed(Exception):
    """These bytes are not MQTT 3.1.1 from a server to this client; the number says what is wrong with them."""


def connect(client_id, username, password, keepalive_s, clean=True):
    """CONNECT (3.1) with credentials and without a will. Text is str, or bytes that are sent as they are."""
    head = b"\x00\x04MQTT\x04" + bytes((0xC2 if clean else 0xC0, keepalive_s >> 8, keepalive_s & 0xFF))
    return packet(0x10, head, field(client_id), field(username), field(password))


def subscribe(packet_id, topics):
    """SUBSCRIBE (3.8) to each topic at QoS 1."""
    parts = [packet_id.to_bytes(2, "big")]
    for topic in topics:
        parts.append(field(topic))
        parts.append(b"\x01")
    return packet(0x82, *parts)


def publish(topic, payload, packet_id=0):
    """PUBLISH (3.3): QoS 1 under `packet_id`, or QoS 0 where that is 0. A bytearray, so that DUP can be set."""
    if packet_id:
        return packet(0x32, field(topic), packet_id.to_bytes(2, "big"), payload)
    return packet(0x30, field(topic), payload)


def puback(packet_id):
    """PUBACK (3.4)."""
    return packet(0x40, packet_id.to_bytes(2, "big"))


def packet(first, *parts):
    """A whole packet: first byte, remaining length (2.2.3) and the parts behind it."""
    length = sum(len(part) for part in parts)
    whole = bytearray((first,))
    while length > 0x7F:
        whole.append(length & 0x7F | 0x80)
        length >>= 7
    whole.append(length)
    for part in parts:
        whole.extend(part)
    return whole


def field(text):
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > 0xFFFF:
        raise ValueError("text exceeds 65535 bytes")
    return len(raw).to_bytes(2, "big") + raw


class Decoder:
    """The receiving half. `window()` and `received()` take turns; after `Malformed` only `reset()` helps."""

    def __init__(self, packet_bytes_max, body=None):
        """A packet whose part behind the fixed header exceeds `packet_bytes_max` is dropped; `body`: the buffer, a
        bytearray of no more than that."""
        self._head = bytearray(5)
        self._made = memoryview(body or bytearray(min(packet_bytes_max, BODY_BYTES)))
        self._bytes_max = packet_bytes_max
        self.reset()

    def reset(self):
        """Forget the half packet of an old connection."""
        self._body = self._made
        self._length = -1  # remaining length (2.2.3), once the head is whole
        self._filled = 0  # bytes of the head, later of the body, that are here
        self._id = 0

    def window(self):
        """Where the next bytes belong: a memoryview of at least one byte."""
        filled, body = self._filled, self._body
        if self._length < 0:
            # Every packet has two bytes; after them the length says byte by byte whether there is more of it.
            return memoryview(self._head)[filled : max(2, filled + 1)]
        if filled < len(body):
            return body[filled : self._length]
        return body[: self._length - filled]

    def received(self, count):
        """Take the `count` >= 1 bytes that were put into `window()`. The packet that they complete, or None."""
        head, body, length, before = self._head, self._body, self._length, self._filled
        filled = self._filled = before + count
        kind, flags = head[0] >> 4, head[0] & 0x0F
        if length < 0:
            if filled < 2:
                return None
            # What is wrong with the bytes so far is found at once.
            if kind not in b"\x02\x03\x04\x09\x0d":
                raise Malformed(0)  # packet type
            if head[filled - 1] & 0x80:
                if filled == 5:
                    raise Malformed(1)  # remaining length
                return None
            length = 0
            for index in range(filled - 1, 0, -1):
                length = length << 7 | head[index] & 0x7F
            if kind == 3:
                # DUP on QoS 0 is forbidden (3.3.1.1) but harmless: not worth losing a link to a sloppy broker.
                if flags >> 1 & 3 > 1:
                    raise Malformed(2)  # publish flags
                if len(body) < length <= self._bytes_max:
                    try:
                        self._body = memoryview(bytearray(length))
                    except MemoryError:
                        pass  # then it is dropped as one that is too large
            elif kind == 9:
                if flags or not 3 <= length <= len(body):
                    raise Malformed(3)  # suback
            elif flags or length != (0 if kind == 13 else 2):
                raise Malformed(4)  # flags or length
            self._length = length
            filled = self._filled = 0
        elif before < len(body) <= filled and length > len(body):
            # The next read goes over these bytes; QoS 1 must be acknowledged all the same, or it comes for ever.
            self._publish_head(len(body))
        if filled < length:
            return None
        codes = payload = b""
        topic = ""
        if length > len(body):
            kind = 0
        elif kind == 3:
            end, start = self._publish_head(length)
            if start > length:
                raise Malformed(5)  # topic length
            try:
                topic = str(body[2:end], "utf-8")
                payload = bytes(body[start:length])
            except UnicodeError:
                raise Malformed(6) from None  # topic text
            except MemoryError:
                kind = 0
                topic = ""
            if "\x00" in topic or "+" in topic or "#" in topic:  # 4.7.3, 3.3.2.1
                raise Malformed(7)  # topic characters
        elif kind == 2:
            if body[0] & 0xFE:
                raise Malformed(8)  # connack flags
            codes = bytes(body[1:2])
        elif kind != 13:
            self._take_id(0)
            codes = bytes(body[2:length])
        packet_id = self._id
        self.reset()
        return kind, packet_id, codes, topic, payload

    def _publish_head(self, visible):
        """(end of the topic, start of the payload) of a PUBLISH of whose body `visible` bytes are here."""
        end = start = (self._body[0] << 8 | self._body[1]) + 2 if visible >= 2 else 2
        if self._head[0] & 0x06:
            start += 2
            if start <= visible:
                self._take_id(end)
        if end == 2:
            raise Malformed(9)  # no topic (4.7.3)
        return end, start

    def _take_id(self, at):
        self._id = self._body[at] << 8 | self._body[at + 1]
        if not self._id:
            raise Malformed(10)  # packet id (2.3.1)
