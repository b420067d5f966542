"""The few packets of MQTT 3.1.1 that a device needs, as bytes: QoS 0 both ways, a clean session, a login."""

import socket

CONNACK, SUBACK, PUBLISH = 0x20, 0x90, 0x30
KEEPALIVE_S = 3600
_CLEAN_WITH_LOGIN = 0xC2


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet(kind: int, body: bytes) -> bytes:
    head, length = bytearray([kind]), len(body)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body


def connect(client_id: str, password: str) -> bytes:
    """The user name is the client id."""
    name = client_id.encode()
    fixed = _text(b"MQTT") + bytes([4, _CLEAN_WITH_LOGIN]) + KEEPALIVE_S.to_bytes(2, "big")
    return packet(0x10, fixed + _text(name) + _text(name) + _text(password.encode()))


def subscribe(topic: str) -> bytes:
    return packet(0x82, b"\0\1" + _text(topic.encode()) + b"\0")


def publish(topic: str, payload: bytes) -> bytes:
    return packet(PUBLISH, _text(topic.encode()) + payload)


def read_packet(connection: socket.socket) -> tuple[int, bytes]:
    """(first byte, body) of the next packet of a blocking socket. Raises OSError, also at its end."""
    kind = _read(connection, 1)[0]
    length = shift = 0
    while True:
        byte = _read(connection, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind, _read(connection, length)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the broker closed the connection")
        data += part
    return data
