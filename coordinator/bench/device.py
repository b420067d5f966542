"""One simulated device: its own connection, its own credentials, its own topics; cheap enough for tens of thousands."""

import socket
from collections import Counter
from typing import NamedTuple

from coordinator.bench import mqtt
from device_client.core.client import base_topic

from .options import NETWORK, BenchFailed
from .reports import Chain, Signed
from .sheets import Sheets

CONNECT_S = 20.0
READ_BYTES = 8192


class Tally(NamedTuple):
    """What a phase counted: receipts by how long after its due time a report got it, and refusals by code."""

    latencies_s: list[float]
    refused: Counter[int]


class Device:
    """`pending` holds when each statement without a receipt was sent, by seq."""

    def __init__(self, signed: Signed) -> None:
        base = base_topic(NETWORK, signed.device)
        self.id = signed.device
        self._down = f"{base}/down"
        self._login = signed.password
        self.chains = [
            Chain([mqtt.publish(f"{base}/up", message) for message in one.messages], one.ids) for one in signed.chains
        ]
        self.pending: dict[int, float] = {}
        self._rest = self.unsent = b""
        self.boot = 0
        self.begin(1)

    def begin(self, boot: int) -> None:
        """Go on to the reports of a boot."""
        if boot != self.boot:
            self.boot, self.next = boot, 0
            self._packets, self._ids = self.chains[boot - 1]

    @property
    def is_exhausted(self) -> bool:
        return self.next >= len(self._packets)

    def connect(self, address: tuple[str, int], topic: str = "") -> socket.socket:
        """Connected, and subscribed to `down` or another topic. Raises OSError."""
        made = socket.create_connection(address, CONNECT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wanted = topic or self._down
        for packet, answer in ((mqtt.connect(self.id.hex(), self._login), 0x20), (mqtt.subscribe(wanted), 0x90)):
            made.sendall(packet)
            kind, body = mqtt.read_packet(made)
            if kind != answer or body[-1]:
                raise ConnectionError("the broker refuses a device")
        return made

    def open(self, address: tuple[str, int]) -> None:
        self.socket = self.connect(address)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()

    def send(self, data: bytes) -> None:
        """What does not go out is `unsent`; call `flush` when the socket is writable."""
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.unsent = data[sent:]

    def flush(self) -> None:
        data, self.unsent = self.unsent, b""
        self.send(data)

    def send_more(self, in_flight: int, now: float, bursts: bool = False) -> None:
        """Fill the window, in `bursts` only when it is empty."""
        packets, pending, first = self._packets, self.pending, self.next
        if bursts and pending:
            return
        last = min(first + in_flight - len(pending), len(packets))
        if last <= first:
            return
        self.next = last
        for seq in range(first + 1, last + 1):
            pending[seq] = now
        self.send(packets[first] if last == first + 1 else b"".join(packets[first:last]))

    def receive(self, sheets: Sheets, now: float, tally: Tally) -> None:
        """Take what has come in. Raises BenchFailed, OSError."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise BenchFailed("the broker closed a connection")
        if self._rest:
            data = self._rest + data
        at, size, skipped = 0, len(data), len(self._down) + 2
        while size - at > 4:
            length, head = data[at + 1], 2
            if length & 0x80:
                length, head = length & 0x7F | data[at + 2] << 7, 3
            end = at + head + length
            if end > size:
                break
            for row in sheets.rows(data[at + head + skipped : end], self.id):
                boot, seq, id8, code = row
                due = self.pending.pop(seq, None) if boot == self.boot else None
                if due is None:  # of a statement that was repeated
                    continue
                if id8 != self._ids[seq - 1]:
                    raise BenchFailed("a receipt names another statement")
                if code:
                    tally.refused[code] += 1
                else:
                    tally.latencies_s.append(now - due)
            at = end
        self._rest = data[at:]

    def repeat(self, before: float) -> int:
        """Publish again what was due before; how many."""
        found = [seq for seq, due in self.pending.items() if due < before]
        for seq in found:
            self.send(self._packets[seq - 1])
        return len(found)
