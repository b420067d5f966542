"""The named places themselves: a closed list, each in the code, and nothing happens unless it is asked for."""

import re
from pathlib import Path

import pytest

from coordinator import crash
from tests.e2e.running import Net, edgetally
from tests.parts import ROOT


def test_every_place_is_in_the_code_once() -> None:
    sources = [path.read_text() for path in (ROOT / "coordinator").rglob("*.py")]
    found = [name for text in sources for name in re.findall(r'crash\.reached\("(\w+)"\)', text)]
    assert sorted(found) == sorted(crash.POINTS)


def test_without_the_variable_nothing_happens() -> None:
    crash.arm("")
    for name in crash.POINTS:
        crash.reached(name)


@pytest.mark.parametrize(
    "text", ["mid_lunch", "mid_seal:", "mid_seal:0", "mid_seal:-1", "mid_seal:x", ":1", "mid_seal:1:2"]
)
def test_what_is_not_a_place_is_refused(text: str) -> None:
    with pytest.raises(crash.UnknownPoint, match="after_receive, after_commit_before_receipt"):
        crash.arm(text)


def test_the_coordinator_does_not_start_with_an_unknown_place(tmp_path: Path) -> None:
    net = Net(tmp_path / "net")
    done = edgetally("up", "--config", net.config, env={crash.VARIABLE: "mid_lunch", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "edgetally: EDGETALLY_CRASH_AT: 'mid_lunch' is not accepted" in done.stderr
    assert not net.home.beacons.exists()
