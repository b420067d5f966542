"""Codes in plain words, for the pages. The explanation of a payout comes from its own module; these name a verdict."""

from datetime import UTC, datetime

# Why a statement was refused, by the names of device_client.core.verdicts.
REFUSALS = {
    "late": "Arrived late: it quotes an old beacon, so it proves no presence",
    "stale_beacon": "Quotes a beacon that is too old to count",
    "unknown_beacon": "Quotes a beacon that was never issued here",
    "duplicate": "Was already received",
    "out_of_window": "Too far behind the newest statement of its boot",
    "quarantined": "Sent by a device in quarantine",
    "fork": "Contradicts an earlier statement: a second holder of the key",
    "weak_key": "Signed with a key that anyone could forge",
    "unsupported_kind": "A kind of statement that this version does not know",
    "bad_body": "The content does not have the form of its kind",
    "token_unknown": "Enrolled with a token that was never issued",
    "token_expired": "Enrolled with a token that has expired",
    "token_exhausted": "Enrolled with a token that is used up",
    "bad_token_signature": "The token's signature is wrong",
    "already_enrolled": "Enrolled a second time",
    "not_enrolled": "Reported before it was enrolled",
    "bad_nonce": "Its nonce is not above the last one of its account",
    "insufficient_balance": "The account does not hold the amount",
    "not_owner": "The device belongs to another account",
    "not_allowed": "This account may not say that",
    "revoked": "The device's owner has revoked it",
    "bad_parameter": "No such parameter, or not a value that it can have",
    "bad_epoch": "The epoch it names is not closed yet, or over too soon or too late",
    "nothing_open": "There is no quarantine and no appeal that it could end",
    "malformed": "Not a statement at all",
    "oversized": "Larger than a message may be",
    "bad_signature": "The signature is wrong",
    "unknown_device": "Sent by a device that is not enrolled",
    "wrong_topic": "Sent under another device's name",
    "bad_commitment": "The readings are not the ones that were signed",
    "rate_limited": "Sent faster than a device may",
    "overloaded": "Came while the coordinator was too busy",
    "storage_failed": "Came while the coordinator could not write to its disk",
    "bad_credentials": "Connected without the credentials of a device",
    "unknown_account": "Signed for an account whose key nobody knows",
    "bad_countersignature": "The new key did not sign that it takes over",
    "dropped": "Dropped by the device for want of room",
    "gave_up": "Given up by the device after its last attempt",
}
# Why a device is in quarantine, by the names of kernel.reasons.
QUARANTINES = {
    "fork": REFUSALS["fork"],
    "copied_readings": "Its readings are those of another device",
    "impossible_readings": "Its readings cannot be what its sensors measured",
    "cluster": "It behaves as one with many other devices",
    "false_place": "It is not where it says",
    "tampered_device": "Its hardware or its client was tampered with",
}
# Why devices of an epoch earned less, or more, by the names of coordinator.store.totals.
EARNED_LESS = {
    "absent": "Not there at all",
    "sometimes_absent": "Not there in some windows",
    "late": "Readings came late: they count in part",
    "out_of_bounds": "A value that its unit cannot have",
    "jump": "A step that nature does not make",
    "constant": "A sensor that is stuck",
    "bad_readings": "Not one value for each declared channel",
    "nothing_measured": "Reports without readings",
    "owner_cap": "The owner's cap was reached",
    "vetting": "Part withheld while the device is new",
    "released": "Got back what was withheld",
}
STANDINGS = {
    "vetting": "New: part of each reward is withheld until the device has proven itself.",
}


def refusal(reason: str) -> str:
    """One line for a reason; a reason from a newer version is shown by its own name."""
    return REFUSALS.get(reason, reason.replace("_", " "))


def quarantine(reason: str) -> str:
    return QUARANTINES.get(reason, reason.replace("_", " "))


def reason(code: str) -> str:
    """One line for why an epoch paid less; a code from a newer version is shown by its own name."""
    return EARNED_LESS.get(code, code.replace("_", " "))


def standing(name: str) -> str:
    return STANDINGS.get(name, name)


def duration(seconds: int) -> str:
    """A length of time in its largest fitting unit: 90 -> '90 s', 7200 -> '2 h'."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(seconds, 0)} s"


def took(us: int) -> str:
    """How long something took: 950 -> '0.9 ms', 2500000 -> '2.50 s'."""
    return f"{us / 1000:,.1f} ms" if us < 1_000_000 else f"{us / 1_000_000:,.2f} s"


def percent(ppm: int) -> str:
    """Millionths as a percentage, exactly: 333333 -> '33.3333 %', 500000 -> '50 %'."""
    whole, part = divmod(ppm, 10_000)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".") + " %"


def weight(ppm: int) -> str:
    """Millionths as a plain number, exactly: 916666 -> '0.916666', 4750000 -> '4.75'."""
    whole, part = divmod(ppm, 1_000_000)
    return f"{whole:,}.{part:06d}".rstrip("0").rstrip(".")


def date(unix_s: int) -> str:
    """A day of UTC; one outside the calendar is shown as its number."""
    return moment(unix_s).split(" ")[0]


def moment(unix_s: int) -> str:
    """A time of the wall in UTC; one outside the calendar is shown as its number."""
    try:
        return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{unix_s} s"
