"""Batches over state that lies in the stores: whatever executed them, a serial audit of the folders agrees."""

import asyncio
from pathlib import Path

import pytest

from coordinator.engine.engines import NAMES
from coordinator.settings import Settings
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import driven


class EngineNet(Net):
    engine = "serial"

    @property
    def settings(self) -> Settings:
        return super().settings.model_copy(update={"engine": self.engine, "lanes": 3})


@pytest.mark.parametrize("engine", NAMES)
def test_an_audit_agrees_with_what_an_engine_executed(tmp_path: Path, engine: str) -> None:
    net = EngineNet(tmp_path, {"epoch_beacons": 4, "deadline_beacons": 2})
    net.engine = engine
    hands = [Hand(net.given(net.token())) for _ in range(5)]

    async def live() -> None:
        async with driven(net) as at:
            await at.beacons()
            for hand in hands:
                await at.enrol(hand)
            for _ in range(9):
                await at.beacons()
                for hand in hands:
                    await at.submit(hand.report(at.beacon))
            await at.beacons(2)

    asyncio.run(live())
    report = net.audit()
    assert report.statements == 5 + 9 * 5
    assert len(report.epochs) >= 1 and any(row[2] for row in report.epochs)
