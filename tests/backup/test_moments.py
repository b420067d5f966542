"""A batch that comes exactly between two steps of the look: what is copied is of one moment all the same."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from coordinator.backup import make
from coordinator.backup.cut import Cut
from coordinator.backup.drill import drill
from tests.e2e.running import Net
from tests.ingest.hand import Hand
from tests.store.driven import driven

from .conftest import NOW_S, VALUES, said, silent
from .test_backup import told

STEPS = ("_read_log", "_read_beacons", "_is_whole")


class Disturbed(Cut):
    """`happen` is called before one step of the first look, and after it in the second."""

    step: ClassVar[str]
    happen: ClassVar[list[Callable[[], None]]]

    def _disturbed(self, step: str) -> None:
        if step == self.step and self.happen:
            self.happen.pop()()

    def _read_log(self) -> None:
        self._disturbed("_read_log")
        super()._read_log()

    def _read_beacons(self) -> None:
        self._disturbed("_read_beacons")
        super()._read_beacons()

    def _is_whole(self, redo: set[int]) -> bool:
        self._disturbed("_is_whole")
        return super()._is_whole(redo)


@pytest.mark.parametrize("step", STEPS)
def test_batches_between_two_steps(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "Cut", Disturbed)
    asyncio.run(_between(step, tmp_path))


async def _between(step: str, tmp_path: Path) -> None:
    net = Net(tmp_path / "net", VALUES)
    async with driven(net) as at:
        await at.beacons()
        hands = [await at.enrol(Hand(net.given(net.token())))]
        for _ in range(3):
            await said(at, hands)
            await at.beacons()
        await said(at, hands)
        loop = asyncio.get_running_loop()

        async def goes_on() -> None:
            for _ in range(2):
                await said(at, hands)
                await at.beacons()

        def happen() -> None:
            asyncio.run_coroutine_threadsafe(goes_on(), loop).result(30)

        Disturbed.step, Disturbed.happen = step, [happen, happen]
        made = await asyncio.to_thread(make.backup, net.home, None, tmp_path / "made.tar", NOW_S, silent)
        assert not Disturbed.happen, "it was disturbed in both looks"
    done = await asyncio.to_thread(drill, made.path, tmp_path, told)
    assert done.report.statements + done.waiting >= 5
