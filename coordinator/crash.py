"""Named places at which a test lets the process die, as a power cut would. In normal operation they do nothing.

EDGETALLY_CRASH_AT=mid_seal ends the process by SIGKILL when it first comes to `mid_seal`, mid_seal:3 the third time.
"""

import os
import signal

VARIABLE = "EDGETALLY_CRASH_AT"

POINTS = (
    "after_receive",  # verified, not in the log
    "after_commit_before_receipt",  # durable in the log, no receipt signed
    "before_beacon_sync",  # the slot is closed in memory only
    "after_beacon_before_publish",  # durable in beacons.log, sent to nobody
    "before_redo",  # executed, readings written, no redo file
    "mid_seal",  # some files of batches/<n>.tmp/ written
    "after_rename_before_apply",  # the batch is published, in no store yet
    "mid_apply",  # in some stores, or in all of them but the redo file is still there
    "after_apply_before_adopt",  # in every store, the log of its slots still there
    "mid_adopt",  # its operator's messages deleted, its log not
    "after_adopt_before_beacon",  # done with, and no beacon has named it
    "mid_snapshot",  # some files of snapshots/<n>.tmp/ written
    "mid_log",  # its tiles are published, the checkpoint is of the batch before it
)


class UnknownPoint(ValueError):
    """The variable names no place that there is."""


_name = ""
_left = 0


def arm(text: str) -> None:
    """Take over the value of the variable, empty for none. Raises UnknownPoint."""
    global _name, _left
    name, colon, count = text.partition(":")
    if text and (name not in POINTS or (colon and not (count.isascii() and count.isdecimal() and int(count) > 0))):
        known = ", ".join(POINTS)
        raise UnknownPoint(f"{VARIABLE}: {text!r} is not accepted; it must be a place, or place:count, of {known}")
    _name, _left = name, int(count or 1)


def reached(name: str) -> None:
    """The process is at this place."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
