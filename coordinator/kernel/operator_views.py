"""What the operator did and what owners say to it, as published: amounts in base units, private texts as hashes."""

from typing import NamedTuple


class QuarantineView(NamedTuple):
    """A device held back. `reason` and `ended` are names of kernel.reasons."""

    device: bytes
    reason: str
    evidence: bytes  # SHA-256 of a text, or the id of the statement that proves a copied key
    since_batch: int
    last_epoch: int  # -1 where it does not end by itself
    ended_batch: int  # -1 while it lasts
    ended: str  # why it ended, "" while it lasts


class AppealView(NamedTuple):
    device: bytes
    account: bytes
    text: bytes  # its SHA-256
    since_batch: int
    answered_batch: int  # -1 while it is open
    answer: str  # "" while it is open


class CorrectionView(NamedTuple):
    """Out of the treasury, for a device and an epoch that was closed."""

    number: int  # grows with every correction
    batch: int
    account: bytes
    device: bytes
    epoch: int
    amount: int
    reason: str
    message: bytes


class SettlementView(NamedTuple):
    """Paid to an owner outside of the network."""

    number: int  # grows with every settlement
    batch: int
    account: bytes
    amount: int
    reference: bytes  # its SHA-256
    message: bytes


class OwedView(NamedTuple):
    """An account with a balance: what its owner could be paid."""

    account: bytes
    amount: int
    settled: int  # was paid so far


class RolloutView(NamedTuple):
    """A release on its way: `devices` by how far they came, `reasons` of those that did not take or keep it."""

    board: str
    version: int
    ppm: int  # of the boards are offered it
    halted: bool
    asked: int
    devices: dict[str, int]
    reasons: dict[str, int]


class ChangeView(NamedTuple):
    """A parameter that changes with an epoch to come."""

    epoch: int
    name: str
    value: object


ENROLLED_TOGETHER, AWAY_TOGETHER = "enrolled_together", "away_together"


class ClusterView(NamedTuple):
    """Devices that behave as one. `value` is the slot in which they came, or the windows in which they were there."""

    kind: str
    value: int
    members: int
    devices: list[bytes]  # some of them
