"""What can become of a statement: the closed enum of the wire, as numbers that never change.

`OK` and `LATE` are durable and in a batch. `FINAL` refusals are receipted with their code: the device drops the
statement. Whatever is not validly signed gets no row at all (a row would let a stranger make a device drop its
statements), so those codes are only counted, and the device tries again. So it is with a token that is not known yet.

Owner messages have verdicts from the same enum; their senders ask for them, nobody sends them a row.
"""

from .codes import ALREADY_ENROLLED as ALREADY_ENROLLED
from .codes import DROPPED as DROPPED
from .codes import GAVE_UP as GAVE_UP
from .codes import OK as OK
from .codes import is_receipted as is_receipted

LATE = 1
STALE_BEACON = 2
UNKNOWN_BEACON = 3
DUPLICATE = 4
OUT_OF_WINDOW = 5
QUARANTINED = 6
FORK = 7
WEAK_KEY = 8
UNSUPPORTED_KIND = 9
BAD_BODY = 10
TOKEN_EXPIRED = 11
TOKEN_EXHAUSTED = 12
BAD_TOKEN_SIGNATURE = 13
NOT_ENROLLED = 15
BAD_NONCE = 16
INSUFFICIENT_BALANCE = 17
NOT_OWNER = 18
NOT_ALLOWED = 19
REVOKED = 20
BAD_PARAMETER = 21
BAD_EPOCH = 22
NOTHING_OPEN = 23

MALFORMED = 64
OVERSIZED = 65
BAD_SIGNATURE = 66
UNKNOWN_DEVICE = 67
WRONG_TOPIC = 68
BAD_COMMITMENT = 69
RATE_LIMITED = 70
OVERLOADED = 71
TOKEN_UNKNOWN = 72
STORAGE_FAILED = 73
BAD_CREDENTIALS = 74
UNKNOWN_ACCOUNT = 75
BAD_COUNTERSIGNATURE = 76

NAMES = {
    OK: "ok",
    LATE: "late",
    STALE_BEACON: "stale_beacon",
    UNKNOWN_BEACON: "unknown_beacon",
    DUPLICATE: "duplicate",
    OUT_OF_WINDOW: "out_of_window",
    QUARANTINED: "quarantined",
    FORK: "fork",
    WEAK_KEY: "weak_key",
    UNSUPPORTED_KIND: "unsupported_kind",
    BAD_BODY: "bad_body",
    TOKEN_EXPIRED: "token_expired",
    TOKEN_EXHAUSTED: "token_exhausted",
    BAD_TOKEN_SIGNATURE: "bad_token_signature",
    ALREADY_ENROLLED: "already_enrolled",
    NOT_ENROLLED: "not_enrolled",
    BAD_NONCE: "bad_nonce",
    INSUFFICIENT_BALANCE: "insufficient_balance",
    NOT_OWNER: "not_owner",
    NOT_ALLOWED: "not_allowed",
    REVOKED: "revoked",
    BAD_PARAMETER: "bad_parameter",
    BAD_EPOCH: "bad_epoch",
    NOTHING_OPEN: "nothing_open",
    MALFORMED: "malformed",
    OVERSIZED: "oversized",
    BAD_SIGNATURE: "bad_signature",
    UNKNOWN_DEVICE: "unknown_device",
    WRONG_TOPIC: "wrong_topic",
    BAD_COMMITMENT: "bad_commitment",
    RATE_LIMITED: "rate_limited",
    OVERLOADED: "overloaded",
    TOKEN_UNKNOWN: "token_unknown",
    STORAGE_FAILED: "storage_failed",
    BAD_CREDENTIALS: "bad_credentials",
    UNKNOWN_ACCOUNT: "unknown_account",
    BAD_COUNTERSIGNATURE: "bad_countersignature",
    DROPPED: "dropped",
    GAVE_UP: "gave_up",
}


def name(code: int) -> str:
    """Name of a code; one from a newer version is shown by its number."""
    return NAMES.get(code, "code_%d" % code)
