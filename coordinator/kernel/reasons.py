"""Why the operator did something: closed lists, as numbers that never change.

What the operator writes about it lies beside the batches; a batch holds the number, and the hash of the text.
"""

CORRECTION = {
    1: "outage",  # the coordinator was away
    2: "wrong_rule",  # a rule counted what it should not have, or the other way round
    3: "appeal_upheld",
    4: "operator_error",
}
OF = {"correct": CORRECTION}  # by the name of the message that says it


def name(reasons: dict[int, str], code: int) -> str:
    """Name of a code; one from a newer version is shown by its number."""
    return reasons.get(code, f"reason_{code}")
