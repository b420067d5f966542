"""An embedded broker that is open, who may come to it, and what it refuses."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiomqtt

from coordinator.ingest.access import COORDINATOR, Access, device_password, service_password
from coordinator.ingest.broker import EmbeddedBroker
from coordinator.ingest.embedded_link import EmbeddedTransport
from coordinator.ingest.link import Transports
from coordinator.ingest.transport import Login
from device_client.core import verdicts
from tests.parts import free_port

from .link_parts import NETWORK

SECRET = bytes(32)


@dataclass
class At:
    port: int = field(default_factory=free_port)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        access = Access(NETWORK, SECRET, list, self._refuse)
        self.broker = EmbeddedBroker("127.0.0.1", self.port, access)
        self.transports: Transports = {4: EmbeddedTransport(self.broker)}

    def _refuse(self, code: int, device: bytes | None) -> None:
        self.refused[verdicts.name(code)] += 1

    @property
    def login(self) -> Login:
        return Login("127.0.0.1", self.port, COORDINATOR, service_password(SECRET, COORDINATOR), versions=(4,))

    def device(self, device: bytes) -> aiomqtt.Client:
        """A connection of it."""
        name = device.hex()
        return aiomqtt.Client(
            "127.0.0.1", self.port, username=name, password=device_password(SECRET, device), identifier=name
        )


@contextlib.asynccontextmanager
async def embedded() -> AsyncIterator[At]:
    at = At()
    async with at.broker:
        yield at
