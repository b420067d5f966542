"""What the web needs of the rest; `service` plugs it in. The web knows neither the store nor the intake."""

from pathlib import Path
from typing import NamedTuple, Protocol

from coordinator.engine.log import Tile
from coordinator.engine.views import BatchView
from coordinator.kernel.access import (
    ActionView,
    ApiTokenView,
    ContactView,
    EnrolmentToken,
    PasskeyView,
    Person,
    SessionView,
    Visitor,
)
from coordinator.kernel.earnings_views import EarningsView
from coordinator.kernel.epoch_views import DayView, EpochDetailView
from coordinator.kernel.filters import DeviceFilter, DevicePage, DevicePlace, StatementPlace
from coordinator.kernel.map_views import MapView
from coordinator.kernel.operator_views import (
    AppealView,
    ChangeView,
    ClusterView,
    CorrectionView,
    OwedView,
    QuarantineView,
    RolloutView,
    SettlementView,
)
from coordinator.kernel.stub_views import PostingView, StatementView, StubView
from coordinator.kernel.uptime_views import UptimeView
from coordinator.kernel.views import (
    AccountView,
    ArchiveView,
    ConsistencyView,
    DeletedView,
    DeviceView,
    EpochView,
    Explanation,
    InclusionView,
    NetworkView,
    OwnerEpochView,
    OwnerMessageView,
    OwnerView,
    PayoutView,
    PresenceView,
    ProofView,
    ReadingView,
    TimedReadingView,
)
from coordinator.web.limits import NUMBER_MAX


class BrokerAddress(NamedTuple):
    """Where devices reach the broker; a host that means every address, or this machine's own, is where the page is."""

    host: str
    port: int
    tls: bool


class Reader(Protocol):
    """Reads of the published state. A missing thing is None (or an empty list), never an exception."""

    async def network(self) -> NetworkView: ...

    async def devices(self, after: bytes, limit: int) -> list[DeviceView]:
        """In order of device id, those behind `after` (empty for the first page)."""
        ...

    async def device(self, device: bytes) -> DeviceView | None: ...

    async def devices_where(self, chosen: DeviceFilter, after: DevicePlace | None, limit: int) -> DevicePage:
        """Those that a filter asks for, behind a place."""
        ...

    async def measures(self) -> list[str]:
        """Names of all channels that devices have, in order."""
        ...

    async def device_payouts(self, device: bytes, limit: int, before: int = NUMBER_MAX) -> list[PayoutView]:
        """Epochs below `before`, newest first."""
        ...

    async def device_presence(self, device: bytes, limit: int, before: int = NUMBER_MAX) -> list[PresenceView]:
        """Closed epochs and the running one, those below `before`, newest first."""
        ...

    async def readings(self, device: bytes, after_slot: int, limit: int) -> list[ReadingView]:
        """Public readings of closed slots, oldest first, of slots > after_slot (-1 for all)."""
        ...

    async def all_readings(
        self, device: bytes, slots: range, after: tuple[int, int], limit: int
    ) -> list[TimedReadingView]:
        """Public and private readings received in some slots, those behind (slot, place), in this order."""
        ...

    async def explain(self, device: DeviceView, epoch: int | None) -> Explanation:
        """Without an epoch: of the newest closed one, or the running one before the first."""
        ...

    async def pay_stub(self, device: DeviceView, epoch: int) -> StubView | None:
        """None for an epoch that has not begun."""
        ...

    async def statements(
        self, device: bytes, epoch: int, after: tuple[int, int], limit: int, code: int | None = None
    ) -> list[StatementView]:
        """Those received in an epoch or counting for it, in the order of (boot, seq), behind `after`; of one verdict
        where it is given."""
        ...

    async def postings(
        self, account: bytes, epoch: int | None, before: tuple[int, int] | None, limit: int
    ) -> list[tuple[int, PostingView]]:
        """Of an account of any kind, newest epoch first, each with its place; those before (epoch, place)."""
        ...

    async def epoch_postings(
        self, epoch: int, owner: bytes, code: int | None, after: tuple[int, int], limit: int
    ) -> list[tuple[tuple[int, int], PostingView]]:
        """Of one epoch, each with its place: in the order of codes, or those of one owner as they were made."""
        ...

    async def owners(self, limit: int, after: tuple[int, bytes] | None = None) -> list[OwnerView]:
        """Highest paid first, behind what was paid to one and its account."""
        ...

    async def owner(self, account: bytes) -> OwnerView | None: ...

    async def earnings(self, account: bytes) -> EarningsView | None:
        """What an owner's devices earn; None for an account that nobody has named."""
        ...

    async def owner_epochs(self, account: bytes, before: int | None, limit: int) -> list[OwnerEpochView]:
        """Closed epochs below `before`, newest first."""
        ...

    async def epochs(self, before: int | None, limit: int) -> list[EpochView]:
        """Newest first, the running one included; those below `before`."""
        ...

    async def epoch(self, number: int) -> EpochView | None: ...

    async def epoch_detail(self, number: int) -> EpochDetailView | None:
        """None for one that has not begun."""
        ...

    async def device_ids(self, first: bytes, last: bytes, limit: int) -> list[bytes]:
        """Ids of devices from `first` to `last`, in order."""
        ...

    async def owner_ids(self, first: bytes, last: bytes, limit: int) -> list[bytes]:
        """Accounts of owners from `first` to `last`, in order."""
        ...

    async def header_batch(self, header: bytes) -> int | None:
        """The batch of a header's id, among the newest."""
        ...

    async def statement_place(self, statement: bytes) -> StatementPlace | None:
        """Where a statement stands, among the newest."""
        ...

    async def payouts(self, epoch: int, after: bytes, limit: int, owner: bytes = b"") -> list[PayoutView]:
        """Of one closed epoch in order of device id, those behind `after`; to one owner where it is given."""
        ...

    async def map(self, within: int, devices_min: int) -> MapView:
        """Cells with so many devices at least (engine/places.py), of the world where `within` is 0, else of a cell."""
        ...

    async def devices_at(self, cell: int, devices_min: int, after: bytes, limit: int) -> list[DeviceView]:
        """Devices that count for a cell, those behind `after` if that is one of them."""
        ...

    async def uptime(
        self, after: bytes, before: int | None, epochs: int, limit: int, missed: bool
    ) -> UptimeView | None:
        """Of devices behind `after`, in the newest closed epochs, or those before one; None where there is none."""
        ...

    async def days(self, before: int | None, limit: int) -> list[DayView]:
        """Rewards by days of UTC, newest first; those of epochs before one."""
        ...

    async def archive_index(self) -> ArchiveView: ...

    async def archive_batch(self, number: int) -> list[str]:
        """Names of the files of a batch, none if there is no such batch."""
        ...

    async def archive_file(self, name: str) -> Path | None:
        """Where a published file lies."""
        ...

    async def payout_proof(self, device: bytes, epoch: int, size: int | None) -> ProofView | None:
        """Of a closed epoch, at the log of the first `size` batches or at the newest checkpoint; None without a payout
        there."""
        ...

    async def bundle(self, device: bytes, epoch: int, slot: int | None) -> bytes | None:
        """A file that shows what a device was paid for an epoch (engine/bundle.py), with the batch of `slot` in it if
        one is given; None for an unknown device, one that said nothing in the slot, and before the first checkpoint."""
        ...

    async def batch(self, number: int) -> BatchView | None: ...

    async def log_checkpoint(self) -> bytes | None:
        """The signed note of the log of headers, None before the first."""
        ...

    async def log_tile(self, tile: Tile) -> bytes | None: ...

    async def log_size(self) -> int:
        """Of the newest checkpoint, -1 before the first."""
        ...

    async def log_inclusion(self, batch: int, size: int) -> InclusionView:
        """0 <= batch < size <= the newest checkpoint's."""
        ...

    async def log_consistency(self, first: int, second: int) -> ConsistencyView:
        """0 < first <= second <= the newest checkpoint's."""
        ...

    async def quarantines(self, device: bytes) -> list[QuarantineView]:
        """All of one device, the newest first."""
        ...

    async def quarantines_open(self, after: bytes, limit: int) -> list[QuarantineView]:
        """Those in force in the order of their devices, behind `after`."""
        ...

    async def appeals(self, device: bytes) -> list[AppealView]:
        """All of one device, the newest first."""
        ...

    async def appeals_open(self, after: bytes, limit: int) -> list[AppealView]:
        """Those without an answer in the order of their devices, behind `after`."""
        ...

    async def corrections(self, device: bytes, epoch: int) -> list[CorrectionView]:
        """Of one device for one epoch, the oldest first."""
        ...

    async def corrections_of(self, account: bytes, before: int | None, limit: int) -> list[CorrectionView]:
        """To one account, the newest first, those with a number below `before`."""
        ...

    async def settlements(self, account: bytes, before: int | None, limit: int) -> list[SettlementView]:
        """Of one account, the newest first, those with a number below `before`."""
        ...

    async def changes_to_come(self) -> list[ChangeView]:
        """Parameters that change with an epoch to come, the next one first."""
        ...

    async def clusters(self) -> list[ClusterView]:
        """Devices that behave as one, the largest groups of each kind first."""
        ...

    async def standings(self) -> dict[str, int]:
        """How many devices have which standing."""
        ...

    async def owed(self, after: bytes, limit: int) -> list[OwedView]:
        """Accounts with a balance in their order, behind `after`."""
        ...


class Submitted(NamedTuple):
    """What became of a message handed in. `verdict` is a name of core.verdicts; the receipt sheet is empty for those
    that get no row."""

    verdict: str
    code: int
    receipted: bool
    statement_id: bytes
    slot: int
    receipt: bytes


class OwnerSubmitted(NamedTuple):
    """A verdict, and the id of the message where there is one."""

    code: int
    id: bytes


class Owners(Protocol):
    """What owners say, and what became of it."""

    async def submit(self, envelope: bytes) -> OwnerSubmitted:
        """Durable when it answers with OK."""
        ...

    async def message(self, message: bytes) -> OwnerMessageView | None: ...

    async def account(self, account: bytes) -> AccountView: ...

    async def appellant(self, text: bytes) -> bytes:
        """Whose appeal, waiting or open, names a text of this SHA-256; empty for nobody's."""
        ...


class Deletions(Protocol):
    """What owners take away again."""

    async def delete(self, device: bytes, through_epoch: int) -> DeletedView:
        """Delete a device's readings up to the end of a closed epoch. Raises ValueError, whose text says why not;
        OSError, and then it goes on at the next start."""
        ...


class Notices(Protocol):
    """What owners are told by mail and webhook."""

    def secret(self, contact: int) -> str:
        """With which what a webhook gets is signed."""
        ...

    async def stop(self, contact: int, code: str) -> bool:
        """Take a contact away; False where the code is not that of its notices."""
        ...


class Submit(Protocol):
    async def __call__(self, message: bytes) -> Submitted:
        """Hand one statement message to the intake and wait for its durable commit or refusal."""
        ...


class Access(Protocol):
    """Who may sign in. Secrets go in and out as text, once; times are unix seconds. Methods that add raise TooMany."""

    async def person(self, role: str, account: bytes, name: str, now: int) -> Person:
        """The one of this role, account and name; it is made if there is none."""
        ...

    async def invite(self, person: Person, now: int, lifetime_s: int) -> str:
        """The code of a link that signs this person in once."""
        ...

    async def redeem(self, code: str, now: int) -> Person | None: ...

    async def open_session(self, person: Person, means: str, now: int) -> str: ...

    async def session(self, secret: str, now: int) -> SessionView | None:
        """None for one that is unknown or over."""
        ...

    async def sessions(self, person: bytes | None, now: int) -> list[SessionView]: ...

    async def end_session(self, session: bytes, person: bytes | None = None) -> bool: ...

    async def end_sessions(self, person: bytes | None) -> int: ...

    async def new_token(self, person: Person, name: str, scopes: frozenset[str], now: int, lifetime_s: int) -> str: ...

    async def token(self, secret: str, now: int) -> ApiTokenView | None:
        """None for one that is unknown or over."""
        ...

    async def tokens(self, person: bytes | None) -> list[ApiTokenView]: ...

    async def revoke_token(self, token: bytes, person: bytes | None = None) -> bool: ...

    async def add_passkey(
        self, person: bytes, credential: bytes, public_key: bytes, count: int, name: str, now: int
    ) -> bool: ...

    async def passkey(self, credential: bytes) -> tuple[PasskeyView, Person] | None: ...

    async def passkeys(self, person: bytes) -> list[PasskeyView]: ...

    async def passkey_used(self, credential: bytes, count: int, now: int) -> None: ...

    async def remove_passkey(self, credential: bytes, person: bytes) -> bool: ...

    async def spend(self, digest: bytes, now: int, ends: int) -> bool:
        """False for what was spent before."""
        ...

    async def seed(self) -> bytes:
        """32 secret bytes, the same in every process."""
        ...


class OperatorLog(Protocol):
    """What operators did. Every action of an operator adds one row before it answers."""

    async def add(self, visitor: Visitor, action: str, subject: str, reason: str = "", evidence: str = "") -> int: ...

    async def actions(self, before: int | None, limit: int, action: str = "") -> list[ActionView]:
        """The newest first, those numbered below `before`, of one kind if one is named."""
        ...

    async def kinds(self) -> list[str]: ...


class Texts(Protocol):
    """Words whose SHA-256 batches hold; the operator may read them, and the owner of `account`."""

    async def put(self, text: str, account: bytes = b"") -> bytes: ...

    async def get(self, digest: bytes) -> tuple[str, bytes] | None: ...


class Contacts(Protocol):
    """Where people want to be told of what."""

    async def add(self, person: Person, kind: str, address: str, events: frozenset[str], now: int) -> int: ...

    async def of_person(self, person: bytes) -> list[ContactView]: ...

    async def of_account(self, account: bytes) -> list[ContactView]: ...

    async def remove(self, number: int, person: bytes) -> bool: ...


class Enrolment(Protocol):
    """Enrolment tokens of this coordinator. They are secret, but for their public key."""

    async def issue(self, owner_key: bytes, devices: int, last_epoch: int) -> bytes:
        """The new token's public key. Raises ValueError for a key that nobody can sign with, OSError."""
        ...

    async def issued(self) -> list[EnrolmentToken]:
        """Those that a batch holds, the newest first, at most some hundreds."""
        ...

    async def provisioning(self, public_key: bytes, host: str) -> tuple[str, bytes] | None:
        """(what a device needs to know as JSON, its QR code as SVG), None for no such token. `host` is where devices
        reach the broker. Raises ValueError for what no QR code holds."""
        ...


class Hand(Protocol):
    """What an operator does to devices and balances: each is one message that waits for its batch, whose id comes back.

    With `look_only` nothing is done, and b"" comes back where it could be. Raises BadAction, OSError.
    """

    @property
    def quarantine_epochs_max(self) -> int: ...

    async def waits(self, message: bytes) -> bool:
        """Whether it is a message of the operator that no batch has yet."""
        ...

    async def quarantine(
        self,
        visitor: Visitor,
        device: bytes,
        reason: str,
        evidence: str,
        last_epoch: int,
        *,
        look_only: bool = False,
    ) -> bytes: ...

    async def lift(
        self, visitor: Visitor, device: bytes, reason: str, evidence: str, *, look_only: bool = False
    ) -> bytes: ...

    async def correct(
        self,
        visitor: Visitor,
        device: bytes,
        epoch: int,
        amount: int,
        reason: str,
        note: str = "",
        account: bytes = b"",
        *,
        look_only: bool = False,
    ) -> bytes: ...

    async def settle(
        self,
        visitor: Visitor,
        account: bytes,
        amount: int,
        reference: str,
        reason: str = "",
        *,
        look_only: bool = False,
    ) -> bytes: ...


class Housekeeping(Protocol):
    """What only files tell."""

    async def rollouts(self) -> list[RolloutView]:
        """One a class of boards. Raises OSError."""
        ...

    async def backup(self) -> tuple[int, int] | None:
        """(unix seconds, batch) of the newest backup, None for none."""
        ...


class People(NamedTuple):
    """All that signing in needs; without it a server has public pages only."""

    access: Access
    operator_log: OperatorLog
    texts: Texts
    contacts: Contacts
    enrolment: Enrolment
    hand: Hand
    housekeeping: Housekeeping
