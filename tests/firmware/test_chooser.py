"""`/main.py` starts something whatever it finds, writes only when it must, and never raises."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.link_parts import FIRMWARE
from tests.parts import ROOT, require_micropython

EMPTY = 0xFFFFFFFF
MAIN = FIRMWARE / "root" / "main.py"


@cache
def told() -> tuple[dict[str, dict[str, Any]], str]:
    here = Path(__file__).parent
    done = subprocess.run(
        [require_micropython(), str(here / "chooser_device.py"), str(MAIN)],
        env={**os.environ, "MICROPYPATH": f"{here}:{FIRMWARE}:{FIRMWARE / 'lib'}:{ROOT}:.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["name"]: line for line in lines}, done.stdout


def ran(name: str) -> list[str]:
    return [app for app, _, _ in told()[0][name]["ran"]]


# name -> (what ran, in order; whether the board was started again behind it; whether /slots was written)
EXPECTED = {
    "never updated": (["a"], False, False),
    "updated, b is good": (["b"], False, False),
    "b is on trial": (["b"], False, True),
    "b had its starts": (["a"], False, True),
    "b on trial cannot be imported": (["a"], False, True),
    "b on trial cannot be counted": (["a"], False, False),
    "b on trial cannot be counted, a is corrupt": (["b"], False, False),
    "b on trial is not there": (["a"], False, True),
    "b on trial fails": (["b"], True, True),
    "a is corrupt, b was good before": (["b"], False, False),
    "a is not there, b was good before": (["b"], False, False),
    "a is corrupt, b is half staged": ([], False, False),
    "nothing is there": ([], False, False),
    "both are corrupt": ([], False, False),
    "slots is cut off": (["a"], False, False),
    "slots is garbage": (["a"], False, False),
    "slots is empty": (["a"], False, False),
    "a fails": (["a"], True, False),
    "a fails in safe mode, b stands in": (["a", "b"], False, False),
    "both fail in safe mode": (["a", "b"], True, False),
    "ten starts have failed": (["a"], False, False),
    "nine starts have failed": (["a"], False, False),
    "a wakes from deep sleep": (["a"], False, False),
}


def test_every_case_is_looked_at() -> None:
    assert set(told()[0]) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_starts(name: str) -> None:
    found = told()[0][name]
    assert (ran(name), found["reset"], found["writes"]) == EXPECTED[name]
    for app, folder, _ in found["ran"]:
        assert folder == "/" + app, "modules come from the slot that runs"


def test_a_trial_is_counted_and_ends() -> None:
    active, trial, boots, reason, a, b, highest, rolled_back, newest = told()[0]["b is on trial"]["state"]
    assert (active, trial, boots, b, rolled_back) == (0, 1, 1, 2, 0)
    for name in ("b had its starts", "b on trial cannot be imported", "b on trial is not there"):
        active, trial, boots, reason, a, b, highest, rolled_back, newest = told()[0][name]["state"]
        assert (active, trial, boots, reason, a, b, highest) == (0, 0, 0, 6, 1, EMPTY, 1)
        assert (rolled_back, newest) == (2, 7), "it is remembered, and so is the time"


def test_safe_mode_after_ten_starts_that_failed() -> None:
    cases = told()[0]
    assert [safe for _, _, safe in cases["ten starts have failed"]["ran"]] == [True]
    assert [safe for _, _, safe in cases["nine starts have failed"]["ran"]] == [False]
    assert cases["nine starts have failed"]["failed_boots"] == 10
    assert cases["never updated"]["failed_boots"] == 1
    assert cases["a wakes from deep sleep"]["failed_boots"] == 1  # a wake is no start


def test_without_an_application_it_says_what_to_do() -> None:
    assert told()[1].count("no application can run; connect USB and run: edgetally flash --update") == 3


def test_it_is_small() -> None:
    """The stock firmware compiles it at every start."""
    assert MAIN.stat().st_size < 6_000


def test_both_know_the_same_file() -> None:
    main, library = MAIN.read_text(), (FIRMWARE / "slots.py").read_text()
    for line in ("STATE_BYTES = 32", 'LAYOUT = ">4s4B4IQ"', "EMPTY = 0xFFFFFFFF"):
        assert f"\n{line}\n" in main and f"\n{line}\n" in library
