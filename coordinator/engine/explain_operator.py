"""What the operator did to a device, as sentences of its explanation: quarantines, appeals and corrections."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from coordinator.kernel.amounts import tokens
from coordinator.kernel.epochs import Calendar
from coordinator.kernel.operator_views import AppealView, CorrectionView, QuarantineView
from coordinator.kernel.views import Reason

BECAUSE = {
    "copied_readings": "its readings are those of another device",
    "impossible_readings": "its readings cannot be what its sensors measured",
    "cluster": "it behaves as one with many other devices",
    "false_place": "it is not where it says",
    "tampered_device": "its hardware or its client was tampered with",
    "outage": "the coordinator was away",
    "wrong_rule": "a rule had counted wrongly",
    "appeal_upheld": "the owner had appealed, and was right",
    "operator_error": "the operator had made a mistake",
    "resolved": "the cause is gone",
    "expired": "its last epoch was over",
}


class Operated(NamedTuple):
    """What was done to one device: quarantines and appeals that touch the epoch, and what was corrected in it."""

    quarantines: Sequence[QuarantineView] = ()
    appeals: Sequence[AppealView] = ()
    corrections: Sequence[CorrectionView] = ()


def touching(
    epoch: int, quarantines: Sequence[QuarantineView], appeals: Sequence[AppealView], calendar: Calendar
) -> tuple[list[QuarantineView], list[AppealView]]:
    """Those that began before the epoch was closed and lasted into it, the oldest first; with appeals against such a
    quarantine, and open ones always."""

    def lasted(since_batch: int, end_batch: int) -> bool:
        begun = since_batch * calendar.batch_beacons
        ended = (end_batch + 1) * calendar.batch_beacons - 1
        closed = calendar.last_slot(epoch) + calendar.deadline_beacons
        return begun <= closed and (end_batch < 0 or ended >= calendar.first_slot(epoch))

    held = [one for one in quarantines if lasted(one.since_batch, one.ended_batch)]

    def against(batch: int) -> bool:
        return any(one.since_batch <= batch and (one.ended_batch < 0 or batch <= one.ended_batch) for one in held)

    asked = [
        one
        for one in appeals
        if one.answered_batch < 0 or lasted(one.since_batch, one.answered_batch) or against(one.since_batch)
    ]
    return held[::-1], asked[::-1]


def standing(found: Operated) -> Iterator[Reason]:
    """Quarantines, what ended them, and appeals."""
    for one in found.quarantines:
        yield _quarantined(one)
        if one.ended:
            text = f"The quarantine ended with batch {one.ended_batch} (lifted): {_because(one.ended)}."
            yield Reason("lifted", 1, text, "")
    for asked in found.appeals:
        text = f"The owner has appealed in batch {asked.since_batch} (appealed)"
        if asked.answered_batch < 0:
            yield Reason("appealed", 1, f"{text}; the operator has not answered yet.", "")
        else:
            answer = f"the operator has answered in batch {asked.answered_batch} ({asked.answer})"
            yield Reason("appealed", 1, f"{text}; {answer}.", "")


def _quarantined(one: QuarantineView) -> Reason:
    if one.reason == "fork":
        text = f"The device is quarantined (quarantined) since batch {one.since_batch}"
        advice = "What was paid before stands. Enrol the real device again with a new key."
        return Reason("quarantined", 1, f"{text}: two machines signed with its key (fork).", advice)
    text = (
        f"The operator has put the device in quarantine (quarantined) in batch {one.since_batch}, until the end of"
        f" epoch {one.last_epoch}: {_because(one.reason)} ({one.reason})."
    )
    if one.ended:
        return Reason("quarantined", 1, text, "")
    appeal = f'edgetally owner appeal {one.device.hex()} --text "..." --key FILE --url URL'
    return Reason("quarantined", 1, text, f"What was paid before stands. If this is wrong, appeal: {appeal}")


def corrected(found: Operated) -> Iterator[Reason]:
    """What was paid later for the epoch."""
    for one in found.corrections:
        text = (
            f"{tokens(one.amount)} was paid later out of the treasury, in batch {one.batch} (corrected):"
            f" {_because(one.reason)} ({one.reason})."
        )
        yield Reason("corrected", 1, text, "")


def _because(reason: str) -> str:
    return BECAUSE.get(reason, "for a reason that this version does not know")
