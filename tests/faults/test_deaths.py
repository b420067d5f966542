"""The coordinator dies at every named place and at random moments: nothing receipted is lost or counted twice."""

import os
from pathlib import Path

from coordinator import crash

from .rig import Rig

SOAK = os.environ.get("EDGETALLY_SOAK") == "1"
COUNTS = (1, 2, 3, 4, 5, 6, 8) if SOAK else (1, 2, 4)
RANDOM_KILLS = 200 if SOAK else 30


def test_at_every_named_place(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 1)
    for count in COUNTS:
        for point in crash.POINTS:
            rig.until_dead(f"{point}:{count}")
    report = rig.settle()
    assert rig.deaths == dict.fromkeys(crash.POINTS, len(COUNTS))
    assert rig.errors == []
    assert report.statements > 100 and len(rig.history.promised) > 100


def test_at_random_moments(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 2)
    for _ in range(RANDOM_KILLS):
        rig.kill_within(0.05, 12)
    report = rig.settle()
    assert rig.deaths["random"] >= RANDOM_KILLS * 9 // 10
    assert rig.errors == []
    assert rig.power_cuts > 0 and report.statements > 100
