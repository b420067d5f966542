"""Devices that behave as one, at a real coordinator driven by hand."""

import asyncio
from pathlib import Path

from coordinator.kernel.operator_views import AWAY_TOGETHER, ENROLLED_TOGETHER, ClusterView
from tests.e2e.running import Net
from tests.ingest.hand import Hand

from .driven import driven

VALUES = {"epoch_beacons": 8, "batch_beacons": 1, "deadline_beacons": 1, "late_beacons_max": 4}
FARM, ALONE = 4, 2


async def lived(net: Net) -> tuple[list[ClusterView], list[bytes]]:
    """A farm of one owner, away in two beacons of the second epoch; two devices of others that are always there."""
    farm_token = net.token()
    farm = [Hand(net.given(farm_token)) for _ in range(FARM)]
    others = [Hand(net.given(net.token())) for _ in range(ALONE)]
    async with driven(net) as at:
        await at.beacons(2)
        for hand in (*farm, *others):
            await at.enrol(hand)
        for beacon in range(12):
            await at.beacons()
            for hand in others if beacon in (8, 9) else (*farm, *others):
                await at.submit(hand.report(at.beacon))
        await at.beacons()  # what was said is in the stores
        return await at.service.queries.clusters(), sorted(hand.id for hand in farm)


def test_a_farm_is_found_and_those_who_are_always_there_are_not(tmp_path: Path) -> None:
    clusters, farm = asyncio.run(lived(Net(tmp_path / "net", VALUES)))
    by_kind = {one.kind: one for one in clusters}
    assert set(by_kind) == {ENROLLED_TOGETHER, AWAY_TOGETHER} and len(clusters) == 2
    assert all(sorted(one.devices) == farm and one.members == FARM for one in clusters)
