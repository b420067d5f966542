"""What the API answers with, as types. Written by tests/web/client_models.py; do not edit.

Ids and hashes are lower-case hexadecimal text, amounts whole base units with their text in tokens beside them.
"""

from typing import NamedTuple


class Account(NamedTuple):
    account: str
    public_key: str
    balance: int
    balance_tokens: str
    nonce: int
    next_nonce: int


class Posting(NamedTuple):
    batch: int
    number: int
    epoch: int
    debit: str
    debit_holder: str
    credit: str
    credit_holder: str
    amount: int
    amount_tokens: str
    code: str


class AccountPostings(NamedTuple):
    account: str
    postings: list[Posting]
    next: str | None


class Appeal(NamedTuple):
    device: str
    account: str
    text: str
    since_batch: int
    answered_batch: int
    answer: str


class Appeals(NamedTuple):
    appeals: list[Appeal]
    next: str | None


class Channel(NamedTuple):
    name: str
    unit: str
    exponent: int


class Notice(NamedTuple):
    code: int
    name: str
    value: int
    boot: int
    seq: int
    since: int
    text: str


class Device(NamedTuple):
    device: str
    owner: str
    standing: str
    reason: str
    enrolled_slot: int
    last_slot: int
    interval_s: int
    readings_public: bool
    channels: list[Channel]
    statements: int
    gaps: int
    paid: int
    paid_tokens: str
    withheld: int
    withheld_tokens: str
    public_key: str
    notices: list[Notice]


class Devices(NamedTuple):
    devices: list[Device]
    next: str | None


class Correction(NamedTuple):
    number: int
    batch: int
    account: str
    device: str
    epoch: int
    amount: int
    amount_tokens: str
    reason: str
    message: str


class DeviceCorrections(NamedTuple):
    device: str
    epoch: int
    corrections: list[Correction]


class Payout(NamedTuple):
    epoch: int
    device: str
    owner: str
    presence: int
    presence_tokens: str
    sensing: int
    sensing_tokens: str
    owner_cap: int
    owner_cap_tokens: str
    paid: int
    paid_tokens: str
    withheld: int
    withheld_tokens: str
    released: int
    released_tokens: str
    presence_ppm: int
    sensing_ppm: int


class Reason(NamedTuple):
    code: str
    times: int
    text: str
    advice: str


class Explanation(NamedTuple):
    device: str
    epoch: int
    state: str
    payout: Payout | None
    summary: str
    reasons: list[Reason]
    derivation: list[str]
    lines: list[str]


class DevicePayouts(NamedTuple):
    device: str
    payouts: list[Payout]
    next: str | None


class Presence(NamedTuple):
    epoch: int
    windows_present: int
    windows: int


class DevicePresence(NamedTuple):
    device: str
    presence: list[Presence]
    next: str | None


class Proof(NamedTuple):
    payout: Payout
    row: str
    number: int
    payouts: int
    path: list[str]
    batch: int
    header: str
    log_size: int
    log_root: str
    log_path: list[str]


class Quarantine(NamedTuple):
    device: str
    reason: str
    evidence: str
    since_batch: int
    last_epoch: int
    ended_batch: int
    ended: str


class DeviceQuarantines(NamedTuple):
    device: str
    quarantines: list[Quarantine]
    appeals: list[Appeal]


class Deleted(NamedTuple):
    device: str
    through_epoch: int
    last_slot: int
    reports: int
    request: str


class Reading(NamedTuple):
    slot: int
    boot: int
    seq: int
    dt_ms: int
    values: list[int | None]
    scaled: list[str | None]


class Readings(NamedTuple):
    device: str
    channels: list[Channel]
    readings: list[Reading]
    next: str | None


class Statement(NamedTuple):
    boot: int
    seq: int
    slot: int
    quoted: int
    batch: int
    code: int
    verdict: str
    measured: str
    epoch: int
    id: str


class Statements(NamedTuple):
    device: str
    epoch: int
    statements: list[Statement]
    next: str | None


class Share(NamedTuple):
    code: str
    windows: int
    windows_all: int
    late: int
    late_ppm: int
    weight_ppm: int
    weights_before: int
    weights_all: int
    pool: int
    amount: int
    amount_tokens: str
    text: str


class Change(NamedTuple):
    code: str
    amount: int
    amount_tokens: str
    text: str


class StubLinks(NamedTuple):
    page: str
    statements: str
    postings: str
    explain: str
    batch: str | None = None
    header: str | None = None
    proof: str | None = None


class Stub(NamedTuple):
    device: str
    owner: str
    epoch: int
    state: str
    first_slot: int
    last_slot: int
    batch: int
    header: str
    emission: int
    emission_tokens: str
    statements: int
    payout: Payout | None
    shares: list[Share]
    changes: list[Change]
    paid: int
    paid_tokens: str
    credited: int
    credited_tokens: str
    postings: list[Posting]
    explanation: Explanation
    lines: list[str]
    links: StubLinks


class Epoch(NamedTuple):
    number: int
    first_slot: int
    last_slot: int
    closed: bool
    batch: int
    header: str
    emission: int
    emission_tokens: str
    paid: int
    paid_tokens: str
    treasury: int
    treasury_tokens: str
    devices: int


class Epochs(NamedTuple):
    epochs: list[Epoch]
    next: str | None


class ReasonCount(NamedTuple):
    code: str
    devices: int


class Posted(NamedTuple):
    code: str
    postings: int
    amount: int


class EpochDetail(NamedTuple):
    epoch: Epoch
    state: str
    missing: int
    reasons: list[ReasonCount]
    posted: list[Posted]
    parameters: dict[str, int]


class EpochPayouts(NamedTuple):
    epoch: int
    closed: bool
    payouts: list[Payout]
    next: str | None


class EpochPostings(NamedTuple):
    epoch: int
    postings: list[Posting]
    next: str | None


class Consistency(NamedTuple):
    first: int
    second: int
    first_root: str
    second_root: str
    proof: list[str]


class Inclusion(NamedTuple):
    batch: int
    size: int
    leaf_hash: str
    root: str
    proof: list[str]


class Cell(NamedTuple):
    cell: str
    resolution: int
    devices: int
    present: int
    place: str


class Map(NamedTuple):
    within: str
    resolution: int
    devices_min: int
    devices: int
    unplaced: int
    cells: list[Cell]


class Broker(NamedTuple):
    host: str
    port: int
    tls: bool


class Network(NamedTuple):
    name: str
    genesis: str
    beacon: int
    beacon_time: int
    beacon_interval_s: int
    epoch_beacons: int
    epoch: int
    batches: int
    statements: int
    devices: int
    quarantined: int
    owners: int
    paid: int
    paid_tokens: str
    treasury: int
    treasury_tokens: str
    refusals: dict[str, int]
    broker: Broker
    http_refusals: dict[str, int]


class Waiting(NamedTuple):
    message: str
    state: str


class OwnerMessage(NamedTuple):
    message: str
    state: str
    verdict: str
    batch: int
    account: str
    nonce: int
    kind: str


class OwnerRow(NamedTuple):
    account: str
    devices: int
    balance: int
    balance_tokens: str
    paid: int
    paid_tokens: str
    withheld: int
    withheld_tokens: str
    capped_epochs: list[int]
    nonce: int
    public_key: str
    settled: int
    settled_tokens: str


class Owners(NamedTuple):
    owners: list[OwnerRow]
    next: str | None


class Owner(NamedTuple):
    account: str
    devices: list[Device]
    balance: int
    balance_tokens: str
    paid: int
    paid_tokens: str
    withheld: int
    withheld_tokens: str
    capped_epochs: list[int]
    nonce: int
    public_key: str
    settled: int
    settled_tokens: str
    devices_total: int


class OwnerCorrections(NamedTuple):
    account: str
    corrections: list[Correction]
    next: str | None


class Lifetime(NamedTuple):
    presence: int
    presence_tokens: str
    sensing: int
    sensing_tokens: str
    owner_cap: int
    owner_cap_tokens: str
    paid: int
    paid_tokens: str
    withheld: int
    withheld_tokens: str
    released: int
    released_tokens: str
    credited: int
    credited_tokens: str


class EarningDevice(NamedTuple):
    device: str
    standing: str
    silent: bool
    silent_beacons: int
    payout: Payout | None
    why: Reason | None
    lifetime_paid: int
    withheld: int
    provisional_so_far: int


class Estimate(NamedTuple):
    epoch: int
    first_slot: int
    last_slot: int
    known_slot: int
    basis_epoch: int
    so_far: int
    so_far_tokens: str
    whole: int
    whole_tokens: str
    presence: int
    presence_tokens: str
    sensing: int
    sensing_tokens: str
    owner_cap: int
    owner_cap_tokens: str
    withheld: int
    withheld_tokens: str


class Month(NamedTuple):
    amount: int
    amount_tokens: str
    first_epoch: int
    last_epoch: int


class Provisional(NamedTuple):
    epochs: list[Estimate]
    month: Month | None


class Earnings(NamedTuple):
    account: str
    balance: int
    balance_tokens: str
    withheld: int
    withheld_tokens: str
    settled: int
    settled_tokens: str
    moved: int
    moved_tokens: str
    lifetime: Lifetime
    epoch: int
    silent: int
    unpaid: int
    devices: list[EarningDevice]
    devices_total: int
    provisional: Provisional


class OwnerEpoch(NamedTuple):
    epoch: int
    paid: int
    paid_tokens: str
    presence: int
    presence_tokens: str
    sensing: int
    sensing_tokens: str
    owner_cap: int
    owner_cap_tokens: str
    withheld: int
    withheld_tokens: str
    released: int
    released_tokens: str
    devices: int


class Rewards(NamedTuple):
    account: str
    rewards: list[OwnerEpoch]
    next: str | None


class Settlement(NamedTuple):
    number: int
    batch: int
    account: str
    amount: int
    amount_tokens: str
    reference: str
    message: str


class Settlements(NamedTuple):
    account: str
    settlements: list[Settlement]
    next: str | None


class Quarantines(NamedTuple):
    quarantines: list[Quarantine]
    next: str | None


class Day(NamedTuple):
    day: int
    first: int
    last: int
    presence: int
    presence_tokens: str
    sensing: int
    sensing_tokens: str
    owner_cap: int
    owner_cap_tokens: str
    paid: int
    paid_tokens: str
    date: str


class Days(NamedTuple):
    days: list[Day]
    next: str | None


class Hit(NamedTuple):
    kind: str
    id: str
    page: str
    api: str


class Found(NamedTuple):
    query: str
    hits: list[Hit]
    missing: str


class Submitted(NamedTuple):
    statement: str
    verdict: str
    slot: int
    receipt: str
    code: int


class Kept(NamedTuple):
    text: str
