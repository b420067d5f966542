"""What may be read of a network, as plain values: the one shape that pages, API, command line and tests share.

Amounts are integers of base units (9 decimals), ids are bytes. Nothing here is computed twice elsewhere: a total that
two pages show comes from one field.
"""

from collections.abc import Sequence
from typing import NamedTuple


class NetworkView(NamedTuple):
    name: str
    genesis: bytes
    beacon: int
    beacon_time: int  # unix seconds of the newest beacon
    beacon_interval_s: int
    epoch_beacons: int
    epoch: int  # the running one
    batches: int
    statements: int
    devices: int
    quarantined: int
    owners: int
    paid: int  # over all closed epochs
    treasury: int
    refusals: dict[str, int]  # by reason, all time


class InclusionView(NamedTuple):
    """That a batch is in the log of the first `size` batches."""

    batch: int
    size: int
    leaf_hash: bytes
    root: bytes
    proof: list[bytes]


class ArchiveView(NamedTuple):
    """The batches whose folders are published, `newest` -1 before the first, and those with a snapshot behind them."""

    first: int
    newest: int
    snapshots: list[int]


class ConsistencyView(NamedTuple):
    """That the log of `second` batches begins with that of `first`."""

    first: int
    second: int
    first_root: bytes
    second_root: bytes
    proof: list[bytes]


class ProofView(NamedTuple):
    """That a payout (the packed row, and its fields) stands in the batch that closed its epoch, and the batch's header
    (the payload) in the log: what `device_client.core.proofs` checks."""

    payout: "PayoutView"
    row: bytes
    number: int  # of the row among the batch's payouts
    payouts: int
    path: list[bytes]
    batch: int
    header: bytes
    log_size: int
    log_root: bytes
    log_path: list[bytes]


class NoticeView(NamedTuple):
    """The newest value that a device told of itself under one code; `text` says it in a sentence."""

    code: int
    name: str
    value: int
    boot: int
    seq: int
    since: int  # slot of the first report that told this value
    text: str


class DeviceView(NamedTuple):
    device: bytes
    owner: bytes
    standing: str  # vetting | active | quarantined
    reason: str  # why not active, "" otherwise
    enrolled_slot: int
    last_slot: int  # of the newest accepted statement, -1 for none
    interval_s: int
    readings_public: bool
    channels: list[tuple[str, str, int]]  # name, unit, decimal exponent
    statements: int
    gaps: int  # statements known to be missing
    paid: int
    withheld: int
    public_key: bytes  # that signs for it now
    notices: Sequence[NoticeView] = ()  # what it says about itself, by code


class PayoutView(NamedTuple):
    """One device in one closed epoch. paid = presence + sensing - owner_cap; withheld is the part of paid held back."""

    epoch: int
    device: bytes
    owner: bytes
    presence: int
    sensing: int
    owner_cap: int
    paid: int
    withheld: int
    released: int  # withheld earlier, freed now
    presence_ppm: int
    sensing_ppm: int


class EpochView(NamedTuple):
    number: int
    first_slot: int
    last_slot: int
    closed: bool
    batch: int  # that closed it, -1 while open
    header: bytes  # id of that batch's header, empty while open
    emission: int
    paid: int
    treasury: int
    devices: int  # paid ones


class OwnerView(NamedTuple):
    account: bytes
    devices: list[DeviceView]
    balance: int
    paid: int
    withheld: int
    capped_epochs: list[int]  # epochs in which the owner's cap was reached
    nonce: int  # of the newest message that a batch holds, 0 for none
    public_key: bytes  # that signs for the account now, empty where it is not known yet
    settled: int = 0  # paid outside of the network so far


class OwnerMessageView(NamedTuple):
    """An owner message: waiting, executed in a batch with a verdict, or put aside (`refused`) before one."""

    id: bytes
    state: str
    verdict: str  # empty while it waits
    batch: int  # -1 where there is none
    account: bytes
    nonce: int
    kind: str


class AccountView(NamedTuple):
    account: bytes
    public_key: bytes  # that signs for it now, empty where it is not known yet
    balance: int
    nonce: int  # of the newest message that a batch holds
    next_nonce: int


class OwnerEpochView(NamedTuple):
    epoch: int
    paid: int
    presence: int
    sensing: int
    owner_cap: int
    withheld: int
    released: int
    devices: int


class ReadingView(NamedTuple):
    """One reading set of a public device: values in the channels' order, scaled by their exponents,
    None where a sensor gave none."""

    slot: int
    boot: int
    seq: int
    dt_ms: int
    values: list[int | None]


class TimedReadingView(NamedTuple):
    """A reading set of a device with public or private readings, and when it was measured: `time_ms` is unix time in
    milliseconds, from the beacon `quoted` on. `place` is where it lies in the store: the next page begins behind it."""

    slot: int
    boot: int
    seq: int
    dt_ms: int
    quoted: int
    time_ms: int
    values: list[int | None]
    place: int


class DeletedView(NamedTuple):
    """What became of a request to delete readings; `request` stands on the public record."""

    request: bytes
    last_slot: int
    reports: int  # whose readings were there


class PresenceView(NamedTuple):
    epoch: int
    windows_present: int
    windows: int


class Reason(NamedTuple):
    """One plain sentence of an explanation, with the stable code that it stands for and how many times it applied."""

    code: str
    times: int
    text: str
    advice: str  # what to do, "" when nothing


class Explanation(NamedTuple):
    """Why one device earned what it earned in one epoch; `lines()` is the text of CLI, API and page."""

    device: bytes
    epoch: int
    state: str  # open | closed
    payout: PayoutView | None
    summary: str
    reasons: list[Reason]
    derivation: Sequence[str] = ()  # the sum, from windows to postings; empty while the epoch is open

    def lines(self) -> list[str]:
        out = [self.summary]
        for reason in self.reasons:
            out.append(f"- {reason.text}" + (f" {reason.advice}" if reason.advice else ""))
        if self.derivation:
            out += ["The sum, in base units:", *(f"  {line}" for line in self.derivation)]
        return out
