"""What a board draws, and how long a battery lasts. The unit stands in each name."""

from typing import NamedTuple

USB_MV = 5000
SECONDS_A_DAY = 86_400


class Power(NamedTuple):
    """At the board's supply: 5 V over USB; the sleeping figures at 3.3 V, as the chip's datasheet has them.

    `typical_ma` runs and holds the link; `supply_ma` is what the supply should be able to give. Of an ESP32, else 0:
    `peak_ma` transmits, `receive_ma` has the radio on, `sleep_ua` is the chip in deep sleep, `sleep_board_ua` the whole
    board over its USB socket as somebody measured it (0: nobody has); one report takes `awake_ms`, of it `transmit_ms`.
    """

    supply_ma: int
    typical_ma: int
    peak_ma: int
    receive_ma: int
    sleep_ua: int
    sleep_board_ua: int
    awake_ms: int
    transmit_ms: int


def cycle_uas(power: Power, interval_s: int, sleep_ua: int) -> int:
    """Charge in microampere-seconds of one report with deep sleep for the rest of `interval_s`.

    Raises ValueError when the board would have to be awake for longer than the interval.
    """
    asleep_ms = interval_s * 1000 - power.awake_ms
    if asleep_ms < 0:
        raise ValueError(f"a report takes {power.awake_ms} ms and cannot be made every {interval_s} s")
    listening_ms = power.awake_ms - power.transmit_ms
    return listening_ms * power.receive_ma + power.transmit_ms * power.peak_ma + asleep_ms * sleep_ua // 1000


def battery_days(power: Power, capacity_mah: int, interval_s: int, sleep_ua: int) -> float:
    """Days that `capacity_mah` lasts with a report every `interval_s` and deep sleep between, sensors not counted."""
    charge_uas = capacity_mah * 1000 * 3600
    return charge_uas / cycle_uas(power, interval_s, sleep_ua) * interval_s / SECONDS_A_DAY


def typical_mw(power: Power) -> int:
    return power.typical_ma * USB_MV // 1000


def year_wh(power: Power) -> int:
    """Energy of a year without a pause, in watt-hours, before the losses of the supply."""
    return typical_mw(power) * 24 * 365 // 1000
