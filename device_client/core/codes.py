"""The few verdicts that a device acts on, and what it says about itself unasked; `verdicts` and `notices` have all."""

OK = 0
ALREADY_ENROLLED = 14
UNRECEIPTED = 64  # and beyond: never on a receipt sheet

# Given by a device to itself: no room, or no answer after the last attempt.
DROPPED = 96
GAVE_UP = 97

NOTICE_DROPPED = 2
NOTICES_MAX = 8  # pairs in one report
NOTICE_MAX = 63


def is_receipted(code: int) -> bool:
    """Whether a receipt sheet may carry this code."""
    return 0 <= code < UNRECEIPTED
