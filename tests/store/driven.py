"""A coordinator inside the test whose beacons come when the test says so: as fast as it can, and nothing waits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coordinator.ingest.pipeline import Answer
from coordinator.service import Service, running
from device_client.core import verdicts
from tests.e2e.running import Net
from tests.ingest.hand import Hand


class Driven:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def beacons(self, count: int = 1) -> None:
        for _ in range(count):
            await self.service.beacon()
            await self.service.seal()

    @property
    def beacon(self) -> bytes:
        return self.service.node.beacons.envelopes[-1]

    async def submit(self, message: bytes) -> Answer:
        return await self.service.ingest.submit(message)

    async def enrol(self, hand: Hand) -> Hand:
        answer = await self.submit(hand.enrol(self.beacon))
        assert answer.code == verdicts.OK, verdicts.name(answer.code)
        return hand


@asynccontextmanager
async def driven(net: Net) -> AsyncIterator[Driven]:
    async with running(net.settings, net.folder) as service:
        service.stop()
        await service.idle()
        yield Driven(service)
