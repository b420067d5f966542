"""A device's flash in memory: what is durable survives a power cut, what is not survives in part or not at all."""

from random import Random


class PowerStorage:
    """Storage of an outbox. `full` makes every append fail, as a full flash does."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.full = False
        self._durable = 0

    def size(self) -> int:
        return len(self.data)

    def read(self, at: int, length: int) -> bytes:
        return bytes(self.data[at : at + length])

    def append(self, data: bytes, durable: bool) -> None:
        if self.full:
            raise OSError("flash is full")
        self.data += data
        if durable:
            self._durable = len(self.data)

    def replace(self, pieces: list[bytes]) -> None:
        self.data = bytearray(b"".join(pieces))
        self._durable = len(self.data)

    def power_cut(self, random: Random) -> None:
        """Keep what is durable and a torn piece of the rest."""
        del self.data[random.randint(self._durable, len(self.data)) :]
        self._durable = len(self.data)
