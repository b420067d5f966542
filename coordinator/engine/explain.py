"""Why a device earned what it earned: the same sentences for command line, API and page, from what is published.

Each reason has a stable code. What the coordinator merely counted (statements without a good signature are in no batch)
says so.
"""

from collections.abc import Sequence
from typing import NamedTuple

from coordinator.kernel.amounts import tokens
from coordinator.kernel.views import DeviceView, Explanation, PayoutView, Reason
from device_client.core import verdicts

from . import explain_notices, explain_operator
from .derivation import Rates, Sums, Windows, derivation
from .explain_notices import Told
from .explain_operator import Operated


class Evidence(NamedTuple):
    """What the stores know of one device in one epoch. `sensing` counts are by name; None before the epoch closed."""

    device: DeviceView
    epoch: int
    closed: bool
    payout: PayoutView | None
    windows_present: int
    windows: int
    sensing: dict[str, int]
    verdicts: dict[int, int]
    refusals: dict[int, int]
    unproven: dict[int, int]
    capped: tuple[int, int] | None  # what the owner's devices earned together, and the cap
    late_ppm: int
    sums: Sums | None  # None where it was not paid anything that could be explained
    rates: Rates
    enrolled_epoch: int
    told: Sequence[Told] = ()  # what the device said about itself
    operated: Operated = Operated()  # what the operator did


_VERDICT_TEXT = {
    verdicts.LATE: (
        "{n} late: signed over a beacon older than the deadline. They count for measuring in part, not for presence.",
        "Check the device's connection.",
    ),
    verdicts.STALE_BEACON: (
        "{n} refused (stale_beacon): signed over a beacon so old that they prove nothing about being here.",
        "Reports must be signed when they are measured; nothing that was prepared in advance is paid.",
    ),
    verdicts.UNKNOWN_BEACON: ("{n} refused (unknown_beacon): they quote a beacon that this network never sent.", ""),
    verdicts.DUPLICATE: ("{n} repeated (duplicate): counted once already, repeating earns nothing.", ""),
    verdicts.OUT_OF_WINDOW: ("{n} refused (out_of_window): too far behind what the device sent since.", ""),
    verdicts.QUARANTINED: ("{n} not counted (quarantined): the device was in quarantine.", ""),
    verdicts.FORK: (
        "{n} prove a copied key (fork): they cannot come from the same device as another statement that we hold.",
        "Enrol the real device again with a new key.",
    ),
    verdicts.UNSUPPORTED_KIND: ("{n} refused (unsupported_kind): of a kind that this version does not know.", ""),
    verdicts.BAD_BODY: ("{n} refused (bad_body): the content is not what its kind demands.", "Update the client."),
    verdicts.NOT_ENROLLED: ("{n} not counted (not_enrolled): the enrolment before them was refused.", ""),
    verdicts.REVOKED: (
        "{n} not counted (revoked): the owner has revoked or replaced the device.",
        "Enrol the board again with a new key.",
    ),
    verdicts.ALREADY_ENROLLED: ("{n} repeated enrolment (already_enrolled).", ""),
    verdicts.BAD_SIGNATURE: (
        "{n} refused (bad_signature): sent from this device's connection, not signed by its key.",
        "",
    ),
    verdicts.WRONG_TOPIC: (
        "{n} refused (wrong_topic): sent from this device's connection in another device's name.",
        "",
    ),
    verdicts.BAD_COMMITMENT: ("{n} refused (bad_commitment): the readings are not those that were signed.", ""),
    verdicts.RATE_LIMITED: ("{n} dropped (rate_limited): more statements in a slot than a device may send.", ""),
    verdicts.MALFORMED: ("{n} refused (malformed): not a message of this network.", "Update the client."),
    verdicts.OVERSIZED: ("{n} refused (oversized): larger than a message may be.", "Update the client."),
}
_SENSING_TEXT = {
    "out_of_bounds": (
        "{n} not counted (out_of_bounds): a value that its unit cannot have.",
        "Check the sensor and its wiring.",
    ),
    "jump": ("{n} not counted (jump): a step between two readings that nature does not make.", "Check the sensor."),
    "constant": (
        "{n} not counted (constant): the value never changes, so the sensor is stuck and the epoch earns nothing for"
        " measuring.",
        "Restart or replace the sensor.",
    ),
    "bad_readings": ("{n} not counted (bad_readings): not one value for each declared channel.", "Update the client."),
    "nothing_measured": ("{n} without readings (nothing_measured).", "Check that the sensor answers."),
}


_EARNING = ("present", "measured", "late_readings")  # reasons that do not tell why nothing was paid


def why_unpaid(found: Evidence) -> Reason:
    """In one sentence why a closed epoch paid nothing: the first reason of the explanation that is not a good one."""
    telling = [reason for reason in explain(found).reasons if reason.code not in _EARNING]
    small = "Its share came to less than one base unit (unpaid)."
    return telling[0] if telling else Reason("unpaid", 1, small, "")


def explain(found: Evidence) -> Explanation:
    """The explanation of one device and epoch."""
    channels = [name for name, _, _ in found.device.channels]
    told = explain_notices.reasons(found.told, channels)
    standing = explain_operator.standing(found.operated)
    corrected = explain_operator.corrected(found.operated)
    reasons = [
        *_belonging(found),
        *standing,
        *_presence(found),
        *_sensing(found),
        *_statements(found),
        *told,
        *_deductions(found),
        *corrected,
    ]
    state = "closed" if found.closed else "open"
    return Explanation(
        found.device.device, found.epoch, state, found.payout, _summary(found), reasons, _derivation(found)
    )


def _derivation(found: Evidence) -> list[str]:
    if found.payout is None or found.sums is None:
        return []
    windows = Windows(
        found.windows,
        found.windows_present,
        found.sensing.get("windows_measured", 0),
        found.sensing.get("late", 0),
        bool(found.sensing.get("constant")),
    )
    return derivation(found.payout, windows, found.sums, found.rates, found.enrolled_epoch)


def _summary(found: Evidence) -> str:
    if not found.closed:
        return f"Epoch {found.epoch} is still open; this is what is known so far."
    payout = found.payout
    if payout is None or payout.paid == 0:
        return f"Epoch {found.epoch}: nothing paid."
    parts = [f"presence {tokens(payout.presence)}", f"sensing {tokens(payout.sensing)}"]
    if payout.owner_cap:
        parts.append(f"owner cap -{tokens(payout.owner_cap)}")
    return f"Epoch {found.epoch}: paid {tokens(payout.paid)} ({', '.join(parts)})."


def _belonging(found: Evidence) -> list[Reason]:
    """Whether it was a device of the network at all."""
    if found.enrolled_epoch > found.epoch:
        text = f"It enrolled in epoch {found.enrolled_epoch}, after this one (enrolled_later)."
        return [Reason("enrolled_later", 1, text, "")]
    if found.device.standing == "revoked" and not found.windows_present:
        text = "The owner has revoked or replaced it since (revoked)."
        return [Reason("revoked", 1, text, "To earn with the board again, enrol it with a new key.")]
    return []


def _presence(found: Evidence) -> list[Reason]:
    if found.windows_present == 0:
        text = f"It proved its presence in none of {found.windows} windows (absent)."
        return [Reason("absent", found.windows, text, "Check power, network and the client's log.")]
    missed = found.windows - found.windows_present
    part = f", {_share(found.payout.presence_ppm)} of a full presence" if found.payout else ""
    reasons = [
        Reason(
            "present",
            found.windows_present,
            f"It proved its presence in {found.windows_present} of {found.windows} windows (present){part}.",
            "",
        )
    ]
    if missed and found.closed:
        text = f"{missed} windows without a statement in time (absent)."
        reasons.append(Reason("absent", missed, text, "Check power and network."))
    return reasons


def _sensing(found: Evidence) -> list[Reason]:
    counts = found.sensing
    measured = counts.get("windows_measured", 0)
    reasons = []
    if measured:
        text = f"Its readings were good in {measured} of {found.windows} windows (measured)."
        reasons.append(Reason("measured", measured, text, ""))
    if counts.get("late"):
        share = _share(found.late_ppm)
        text = f"{counts['late']} good reports came late (late_readings); each counts {share} of one in time."
        reasons.append(Reason("late_readings", counts["late"], text, ""))
    for name, (text, advice) in _SENSING_TEXT.items():
        if counts.get(name):
            reasons.append(Reason(name, counts[name], text.format(n=_reports(counts[name])), advice))
    gap = found.windows - measured - counts.get("late", 0)
    if found.closed and gap > 0 and measured:
        text = f"{gap} windows without good readings (gap)."
        reasons.append(Reason("gap", gap, text, "More than one reading set in a report does not fill a gap."))
    return reasons


def _statements(found: Evidence) -> list[Reason]:
    reasons = []
    merged = dict(found.verdicts)
    for code, count in found.refusals.items():
        merged[code] = merged.get(code, 0) + count
    for code, (text, advice) in _VERDICT_TEXT.items():
        if merged.get(code):
            reasons.append(Reason(verdicts.name(code), merged[code], text.format(n=_statement(merged[code])), advice))
    for code, count in sorted(found.unproven.items()):
        if code in _VERDICT_TEXT and code not in merged:
            text = _VERDICT_TEXT[code][0].format(n=_statement(count))
            note = " Counted by the coordinator since it began, in no batch."
            reasons.append(Reason(verdicts.name(code), count, text + note, _VERDICT_TEXT[code][1]))
    return reasons


def _deductions(found: Evidence) -> list[Reason]:
    payout = found.payout
    reasons = []
    if found.capped and payout and payout.owner_cap:
        earned, cap = found.capped
        text = (
            f"{tokens(payout.owner_cap)} went to the treasury (owner_cap): the owner's devices earned"
            f" {tokens(earned)} together, {tokens(cap)} is the most that one owner can earn."
        )
        reasons.append(Reason("owner_cap", 1, text, "More devices of one owner earn no more than this."))
    if payout and payout.withheld:
        text = f"{tokens(payout.withheld)} of it is withheld while the device is vetted (vetting)."
        reasons.append(Reason("vetting", 1, text, "It is released when the vetting ends."))
    if payout and payout.released:
        text = f"{tokens(payout.released)} withheld earlier was released (released): the vetting is over."
        reasons.append(Reason("released", 1, text, ""))
    return reasons


def _share(ppm: int) -> str:
    return f"{ppm / 10_000:.2f} %"


def _reports(count: int) -> str:
    return f"{count} report" if count == 1 else f"{count} reports"


def _statement(count: int) -> str:
    return f"{count} statement" if count == 1 else f"{count} statements"
