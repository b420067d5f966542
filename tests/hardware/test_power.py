"""Charge and days by hand, and what the figures of a profile must not be."""

import re
from pathlib import Path

import pytest

from device_client.power import Power, battery_days, cycle_uas, typical_mw, year_wh
from device_client.profiles import ProfileError, load_profile
from tests.hardware.test_profiles import changed

# 2 s awake, half a second of them transmitting: 1.5 s x 100 mA + 0.5 s x 240 mA = 270 mAs.
ROUND = Power(500, 60, 240, 100, 10, 4000, awake_ms=2000, transmit_ms=500)


def test_charge_of_one_report() -> None:
    assert cycle_uas(ROUND, 2, 10) == 270_000
    assert cycle_uas(ROUND, 102, 10) == 270_000 + 1000
    assert cycle_uas(ROUND, 102, 4000) == 270_000 + 400_000
    with pytest.raises(ValueError, match="takes 2000 ms and cannot be made every 1 s"):
        cycle_uas(ROUND, 1, 10)


def test_days_of_a_battery() -> None:
    # 270 mAs in every 2 s is 135 mA: 3,240 mAh hold for 24 hours.
    assert battery_days(ROUND, 3240, 2, 10) == pytest.approx(1.0)
    # Almost nothing but sleep: 4 mA need 96 mAh a day.
    assert battery_days(ROUND, 960, 10**9, 4000) == pytest.approx(10.0, rel=1e-3)


def test_energy_of_a_year() -> None:
    assert typical_mw(ROUND) == 300
    assert year_wh(ROUND) == 2628


@pytest.mark.parametrize(
    ("board", "old", "new", "said"),
    [
        ("esp32-devkitc", "supply_ma = 500", "supply_ma = 200", "power: typical_ma, peak_ma and supply_ma must rise"),
        ("esp32-devkitc", "sleep_ua = 10", "sleep_ua = 5000", "power: sleep_ua, sleep_board_ua and typical_ma must"),
        ("esp32-devkitc", "transmit_ms = 300", "transmit_ms = 6001", "transmit_ms a part of awake_ms"),
        ("esp32-devkitc", "sleep_ua = 10\n", "", "power.sleep_ua is missing"),
        (
            "esp32-devkitc",
            "price_cents = 1100",
            "price_cents = 11.0",
            "parts[0].price_cents is 11.0; it must be an int",
        ),
        ("esp32-devkitc", '"2024-12"', '"2024-13"', "parts[0].seen is '2024-13'; it must be a month, as 2024-12"),
        (
            "raspberry-pi-5",
            "typical_ma = 800",
            "typical_ma = 6000",
            "power: typical_ma, peak_ma and supply_ma must rise",
        ),
        ("raspberry-pi-5", "typical_ma = 800", "typical_ma = 800\nsleep_ua = 5", "power.sleep_ua is unknown"),
    ],
)
def test_figures_that_cannot_be(tmp_path: Path, board: str, old: str, new: str, said: str) -> None:
    with pytest.raises(ProfileError, match=re.escape(said)):
        load_profile(changed(tmp_path, board, old, new))
