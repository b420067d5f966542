"""What the bytes are that `mqtt5` cannot decode: too few yet, or wrong. It says the same of both."""

from .transport import PACKET_BYTES_MAX, LinkLost, UnsupportedVersion

_LENGTH_BYTES_MAX = 4
_CONNACK_OF_3 = b"\x20\x02"  # two bytes long: version 5 has at least three
_WRONG_VERSION_OF_3 = 1


def packet_bytes(data: bytes, at: int) -> int:
    """The length that a packet announces, with its head; 0 while the head is not whole. Raises LinkLost."""
    length = shift = 0
    for place, byte in enumerate(data[at + 1 : at + 1 + _LENGTH_BYTES_MAX], 1):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return 1 + place + length
    return 0


def is_partial(data: bytes, at: int) -> bool:
    """Whether more bytes can make it a packet. Raises LinkLost: it would be larger than we said we take."""
    announced = packet_bytes(data, at)
    if announced > PACKET_BYTES_MAX:
        raise LinkLost(f"the broker sends a packet of {announced} bytes, more than {PACKET_BYTES_MAX}")
    return announced == 0 or announced > len(data) - at


def not_a_packet(data: bytes, at: int, error: Exception) -> LinkLost:
    """What to say of it: it may be the answer of a broker that speaks 3.1.1."""
    answer = data[at : at + 4]
    if answer[:2] == _CONNACK_OF_3 and len(answer) == 4:
        if answer[3] == _WRONG_VERSION_OF_3:
            return UnsupportedVersion("the broker speaks MQTT 3.1.1 only")
        return LinkLost(f"the broker refuses the connection with code {answer[3]} of MQTT 3.1.1")
    return LinkLost(f"the broker sent a malformed packet: {error}")
