"""What the two outboxes share: a statement that waits, and which notes there are."""

NOTES = b"PQVW"  # see `asking`


class Pending:
    """One statement without a receipt. `at`, `length`: its message in the storage; `due_ms`: when to send it (again);
    `tries`: attempts under different beacons, the newest of them `tried_beacon`."""

    def __init__(self, boot: int, seq: int, id8: bytes, kind: int, at: int, length: int) -> None:
        self.boot = boot
        self.seq = seq
        self.id8 = id8
        self.kind = kind
        self.at = at
        self.length = length
        self.attempts = 0
        self.tries = 0
        self.tried_beacon = -1
        self.due_ms = 0
