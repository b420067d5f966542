"""Devices that would like to earn without working. Each is the real client with one habit."""

import nacl.signing

from coordinator.found import Token

from .device import SimDevice
from .network import Network


class Replayer(SimDevice):
    """Works for a while, then only sends again what it sent before."""

    honest = False
    works_until_ms = 20_000

    def tick(self) -> list[bytes]:
        self.said: list[bytes] = getattr(self, "said", [])
        if self.network.now_ms < self.works_until_ms:
            self.said += super().tick()
            return self.said[-1:]
        return self.said


class Forger(SimDevice):
    """Says that it is somebody else, whose key it does not have."""

    honest = False

    def __init__(self, network: Network, name: str, token: Token) -> None:
        super().__init__(network, name, token)
        self._stranger = nacl.signing.SigningKey(self.random.randbytes(32))

    def sign(self, message: bytes) -> bytes:
        return self._stranger.sign(message).signature


class Clone(SimDevice):
    """A copy of another device's key and flash that begins to speak later, on its own."""

    honest = False

    def __init__(self, network: Network, original: SimDevice, token: Token) -> None:
        super().__init__(network, f"clone of {original.name}", token, key=original.key)
        self.storage.data = bytearray(original.storage.data)
        self.storage.power_cut(self.random)
        self.boot()


class Precomputer(SimDevice):
    """Hears its last beacon soon and signs on from there, as if it had made all its reports in advance."""

    honest = False
    hears_until_ms = 20_000

    def hear(self, beacon: bytes) -> None:
        if self.network.now_ms < self.hears_until_ms:
            super().hear(beacon)
