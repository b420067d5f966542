"""Sentences for what devices say about themselves: in the right epoch, once, with names instead of numbers."""

import pytest

from coordinator.engine.explain_notices import Told, reasons, sentence
from device_client.core import notice_names, notices

CHANNELS = ["temperature", "humidity", "pressure"]


def said(code: int, value: int, since: int = 7, before: int = 0, times: int = 1) -> list[str]:
    return [one.text for one in reasons([Told(code, value, since, before, times)], CHANNELS)]


@pytest.mark.parametrize(
    ("code", "value", "text"),
    [
        (notices.DROPPED, 1213, "It dropped 1,213 statements for want of room while offline (dropped)."),
        (notices.DROPPED, 1, "It dropped 1 statement for want of room while offline (dropped)."),
        (notices.RESET_CAUSE, notices.WATCHDOG, "It was restarted by its watchdog (reset_cause)."),
        (notices.RESET_CAUSE, 99, "It started for reason 99 (reset_cause)."),
        (notices.FIRMWARE_VERSION, 3, "It runs firmware 3 since epoch 7 (firmware_version)."),
        (
            notices.SENSOR_ABSENT,
            0b101,
            "Sensor of temperature, pressure: gives no answer since epoch 7 (sensor_absent).",
        ),
        (notices.SENSOR_STUCK, 0b1000, "Sensor of channel 3: is stuck since epoch 7 (sensor_stuck)."),
        (notices.SENSOR_ABSENT, 0, "Over since epoch 7: sensor_absent."),
        (notices.SAFE_MODE, 10, "It is in safe mode since epoch 7, after 10 failed starts (safe_mode)."),
        (notices.APPLICATION_CORRUPT, 2, "Its application b could not be started (application_corrupt)."),
        (notices.APPLICATION_CORRUPT, 77, "Its application b could not be started (application_corrupt)."),
        (
            notices.CERTIFICATE_REFUSED,
            notices.EXPIRED,
            "It did not trust the broker's certificate: it has expired (certificate_refused).",
        ),
        (
            notices.CERTIFICATE_REFUSED,
            notices.NOT_TOLD,
            "It did not trust the broker's certificate (certificate_refused).",
        ),
        (notices.WIFI_REFUSED, 1, "1 time since its start a Wi-Fi network did not let it in (wifi_refused)."),
        (60, 5, "It says 5 (notice_60)."),
    ],
)
def test_what_was_told_in_the_epoch(code: int, value: int, text: str) -> None:
    assert said(code, value) == [text]


def test_dropped_counts_what_came_in_this_epoch() -> None:
    assert said(notices.DROPPED, 1213, before=1200) == [
        "It dropped 13 statements for want of room while offline (dropped)."
    ]
    assert said(notices.DROPPED, 1213, before=1213) == [], "told again after a restart, and no more than before"
    assert said(notices.DROPPED, 5, before=1213) == [], "a device that takes it back"
    assert said(notices.DROPPED, 1213, times=0) == [], "an epoch later"


def test_several_starts_are_counted() -> None:
    (text,) = said(notices.RESET_CAUSE, notices.POWER_ON, times=4)
    assert text == "It was switched on (reset_cause). It started 4 times in this epoch."


def test_a_state_is_told_as_long_as_it_holds_and_an_event_once() -> None:
    later = {notice_names.NAMES[code] for code in notice_names.NAMES if said(code, 3, times=0)}
    assert later == {
        *("firmware_version", "safe_mode", "sensor_absent", "sensor_stuck", "sensor_out_of_range", "sensor_garbage")
    }
    assert not any(said(code, 0, times=0) for code in notice_names.NAMES), "nothing is the matter any more"


def test_every_code_has_a_sentence_of_its_own_that_ends_with_its_name() -> None:
    texts = [sentence(code, 1, 0, CHANNELS) for code in notice_names.NAMES]
    assert len(set(texts)) == len(texts)
    for code, text in zip(notice_names.NAMES, texts, strict=True):
        assert text.endswith(f"({notice_names.name(code)}).")
    assert all(sentence(code, 0xFFFFFFFF, 0, []) for code in range(notices.CODE_MAX + 1))


def test_advice_comes_with_trouble_only() -> None:
    (over,) = reasons([Told(notices.SENSOR_ABSENT, 0, 7, 0, 1)], CHANNELS)
    (there,) = reasons([Told(notices.SENSOR_ABSENT, 1, 7, 0, 1)], CHANNELS)
    assert (over.code, there.code) == ("sensor_absent", "sensor_absent")
    assert over.advice == "" and there.advice == "Check the sensor's wiring and power."
