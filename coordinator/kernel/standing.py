"""Whether a device may speak: a column of `devices`, as numbers that never change."""

ACTIVE = 0
QUARANTINED = 1  # its key was found in two hands, or the operator says so for a time
REVOKED = 2  # by its owner, or replaced by another board

STANDING_NAMES = {ACTIVE: "active", QUARANTINED: "quarantined", REVOKED: "revoked"}
