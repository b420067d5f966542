"""What the web needs of the rest; `service` plugs it in. The web knows neither the store nor the intake."""

from pathlib import Path
from typing import NamedTuple, Protocol

from coordinator.engine.log import Tile
from coordinator.engine.views import BatchView
from coordinator.kernel.earnings_views import EarningsView
from coordinator.kernel.stub_views import PostingView, StatementView, StubView
from coordinator.kernel.views import (
    AccountView,
    ArchiveView,
    ConsistencyView,
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

    async def device_payouts(self, device: bytes, limit: int) -> list[PayoutView]:
        """Newest epoch first."""
        ...

    async def device_presence(self, device: bytes, limit: int) -> list[PresenceView]:
        """Closed epochs and the running one, newest first."""
        ...

    async def readings(self, device: bytes, after_slot: int, limit: int) -> list[ReadingView]:
        """Public readings of closed slots, oldest first, of slots > after_slot (-1 for all)."""
        ...

    async def all_readings(
        self, device: bytes, slots: range, after: tuple[int, int], limit: int
    ) -> list[TimedReadingView]:
        """Public and private readings received in some slots, those behind (slot, place), in this order."""
        ...

    async def explain(self, device: bytes, epoch: int | None) -> Explanation | None:
        """None for an unknown device. Without an epoch: the newest closed one, or the running one before the first."""
        ...

    async def pay_stub(self, device: bytes, epoch: int) -> StubView | None:
        """None for an unknown device or an epoch that has not begun."""
        ...

    async def statements(self, device: bytes, epoch: int, after: tuple[int, int], limit: int) -> list[StatementView]:
        """Those received in an epoch or counting for it, in the order of (boot, seq), behind `after`."""
        ...

    async def postings(
        self, account: bytes, epoch: int | None, before: tuple[int, int] | None, limit: int
    ) -> list[tuple[int, PostingView]]:
        """Of an account of any kind, newest epoch first, each with its place; those before (epoch, place)."""
        ...

    async def owners(self, limit: int) -> list[OwnerView]:
        """Highest paid first."""
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

    async def payouts(self, epoch: int, after: bytes, limit: int) -> list[PayoutView]:
        """Of one closed epoch in order of device id, those behind `after`."""
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


class Submit(Protocol):
    async def __call__(self, message: bytes) -> Submitted:
        """Hand one statement message to the intake and wait for its durable commit or refusal."""
        ...
