"""Sentences for what a device says about itself: now, and in one epoch. Each is the device's own word.

A count or an event is told in the epoch in which the coordinator heard of it, a state in every epoch in which it holds.
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.views import Reason
from device_client.core import manifest, notice_names, notices


class Told(NamedTuple):
    """The notice of one code as it stood at the end of an epoch: its value, the epoch since which it holds, the value
    before this epoch (0 for none), and how often it was news in this epoch."""

    code: int
    value: int
    since_epoch: int
    before: int
    times: int


_CAUSES = {
    notices.POWER_ON: "was switched on",
    notices.RESET_PIN: "was reset by its button or pin",
    notices.WATCHDOG: "was restarted by its watchdog",
    notices.DEEP_SLEEP: "woke from deep sleep",
    notices.SOFT_RESET: "restarted itself",
    notices.EXCEPTION: "restarted itself after a failure of its program",
}
_CERTIFICATES = {
    notices.WRONG_CA: "another authority signed it",
    notices.WRONG_HOST: "it is of another host",
    notices.EXPIRED: "it has expired",
    notices.NOT_YET_VALID: "it is not valid yet",
}
_SENSORS = {
    notices.SENSOR_ABSENT: ("gives no answer", "Check the sensor's wiring and power."),
    notices.SENSOR_STUCK: ("is stuck", "Restart or replace the sensor."),
    notices.SENSOR_OUT_OF_RANGE: ("is out of its range", "Check the sensor and its wiring."),
    notices.SENSOR_GARBAGE: ("gives answers that are no values", "Check the sensor's wiring and interference."),
}
_HOLDING = (notices.FIRMWARE_VERSION, notices.SAFE_MODE, *_SENSORS)
_ADVICE = {
    notices.DROPPED: "They are lost; a larger outbox holds out longer.",
    notices.SAFE_MODE: "See its log, or flash it again.",
    notices.APPLICATION_CORRUPT: "It runs the other one; the next update replaces it.",
    notices.STORAGE_ERRORS: "Its flash or card may be worn out or full.",
    notices.WIFI_REFUSED: "Check name and password of the network.",
    notices.BROKER_REFUSED: "Check the provisioning file.",
    notices.CERTIFICATE_REFUSED: "Check the broker's certificate and the pinned authority.",
} | {code: advice for code, (_, advice) in _SENSORS.items()}


def reasons(told: Sequence[Told], channels: Sequence[str]) -> list[Reason]:
    """What an explanation of the epoch says of it, by code."""
    found = []
    for one in told:
        is_news = one.times > 0 and (one.code != notices.DROPPED or one.value > one.before)
        if not is_news and not (one.code in _HOLDING and one.value):
            continue
        if one.code == notices.DROPPED:
            count = one.value - one.before
            text = f"It dropped {_statements(count)} for want of room while offline (dropped)."
        else:
            text = sentence(one.code, one.value, one.since_epoch, channels)
        if one.code == notices.RESET_CAUSE and one.times > 1:
            text += f" It started {one.times} times in this epoch."
        advice = _ADVICE.get(one.code, "") if one.value else ""
        found.append(Reason(notice_names.name(one.code), max(1, one.times), text, advice))
    return found


def sentence(code: int, value: int, since_epoch: int, channels: Sequence[str]) -> str:
    """What the newest value of a code says. `channels` are the names declared at enrolment."""
    name = notice_names.name(code)
    if code == notices.RESET_CAUSE:
        return f"It {_CAUSES.get(value, f'started for reason {value}')} ({name})."
    if code == notices.DROPPED:
        return f"It has dropped {_statements(value)} for want of room since it was enrolled ({name})."
    if code == notices.STORAGE_ERRORS:
        return f"{_times(value)} since its start it could not write to its storage ({name})."
    if code == notices.WIFI_REFUSED:
        return f"{_times(value)} since its start a Wi-Fi network did not let it in ({name})."
    if code == notices.FIRMWARE_VERSION:
        return f"It runs firmware {value} since epoch {since_epoch} ({name})."
    if not value:
        return f"Over since epoch {since_epoch}: {name}."
    if code in _SENSORS:
        of = ", ".join(_chosen(value, channels))
        return f"Sensor of {of}: {_SENSORS[code][0]} since epoch {since_epoch} ({name})."
    return {
        notices.SAFE_MODE: f"It is in safe mode since epoch {since_epoch}, after {value} failed starts ({name}).",
        notices.APPLICATION_CORRUPT: f"Its application {'?ab'[min(value, 2)]} could not be started ({name}).",
        notices.UPDATE_REFUSED: f"It refused an update: {_update_reason(value)} ({name}).",
        notices.UPDATE_ROLLED_BACK: f"It went back from firmware {value}, which did not prove itself ({name}).",
        notices.BROKER_REFUSED: f"The broker refused it with code {value} ({name}).",
        notices.CERTIFICATE_REFUSED: "It did not trust the broker's certificate"
        + (f": {_CERTIFICATES[value]}" if value in _CERTIFICATES else "")
        + f" ({name}).",
    }.get(code, f"It says {value} ({name}).")


def _update_reason(value: int) -> str:
    return manifest.REASONS[value] if value < len(manifest.REASONS) else f"reason {value}"


def _chosen(bits: int, channels: Sequence[str]) -> list[str]:
    names = [channels[at] if at < len(channels) else f"channel {at}" for at in range(bits.bit_length())]
    return [name for at, name in enumerate(names) if bits >> at & 1]


def _statements(count: int) -> str:
    return f"{count:,} statement" if count == 1 else f"{count:,} statements"


def _times(count: int) -> str:
    return f"{count:,} time" if count == 1 else f"{count:,} times"
