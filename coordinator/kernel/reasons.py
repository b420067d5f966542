"""Why the operator did something: closed lists, as numbers that never change.

What the operator writes about it lies beside the batches; a batch holds the number, and the hash of the text.
"""

FORK = 0
EXPIRED = 0
APPEAL_REJECTED = 4

QUARANTINE = {
    FORK: "fork",  # a second holder of the key is proved: by the rules, never by the operator
    1: "copied_readings",
    2: "impossible_readings",
    3: "cluster",  # many devices that behave as one
    4: "false_place",
    5: "tampered_device",
}
LIFT = {
    EXPIRED: "expired",  # by itself, never by the operator
    1: "resolved",  # the cause is gone
    2: "appeal_upheld",
    3: "operator_error",
    APPEAL_REJECTED: "appeal_rejected",  # answers the appeal, and ends nothing
}
CORRECTION = {
    1: "outage",  # the coordinator was away
    2: "wrong_rule",  # a rule counted what it should not have, or the other way round
    3: "appeal_upheld",
    4: "operator_error",
}
OF = {"quarantine": QUARANTINE, "lift": LIFT, "correct": CORRECTION}  # by the name of the message that says it


def sayable(reasons: dict[int, str]) -> frozenset[int]:
    """The codes that the operator may say."""
    return frozenset(reasons) - {0}


def name(reasons: dict[int, str], code: int) -> str:
    """Name of a code; one from a newer version is shown by its number."""
    return reasons.get(code, f"reason_{code}")
