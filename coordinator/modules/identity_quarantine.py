"""The part of identity that holds devices back: quarantines, how they end, and appeals against them.

A proven second holder of a key puts a device in quarantine for good: nothing ends that, for the key is out. What the
operator puts in quarantine, by a signed message with a reason, ends by itself at the end of the batch in which its last
epoch ends, or earlier by the operator's word. Both earn nothing in an epoch that closes meanwhile, and an epoch up to
the last of a quarantine stays unpaid although it closes only when the device is back.

An appeal is the owner's word, one open a device, and stays open until the operator answers it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from coordinator.kernel import owner_messages as kinds
from coordinator.kernel import reasons
from coordinator.kernel.module import Effects, Frame, OwnerRow
from coordinator.kernel.parameters import Parameter
from coordinator.kernel.rows import Overlaid, Rows, rows_of
from coordinator.kernel.standing import ACTIVE, QUARANTINED
from coordinator.kernel.tables import HASH32, ID16, U8, U64, Column, Key, Row, Table, TableState
from device_client.core import verdicts
from device_client.core.statement import I64_MAX

if TYPE_CHECKING:
    from .identity import Device

# PARAMETERS

PARAMETERS = (Parameter("quarantine_epochs_max", 90, 1, 10**6, "epochs that a quarantine by the operator can last"),)

# TABLES

NEVER = I64_MAX  # the last epoch of a quarantine that does not end
QUARANTINED_DEVICES = Table(
    "quarantined",
    (
        Column("device", ID16),
        Column("reason", U8),
        Column("evidence", HASH32),
        Column("last_epoch", U64),
        Column("since_batch", U64),
    ),
    1,
)
# Those that end by themselves, until the last epoch is closed.
ENDS = Table("quarantine_ends", (Column("last_epoch", U64), Column("device", ID16), Column("since_batch", U64)), 2)
APPEALED = Table(
    "appealed",
    (Column("device", ID16), Column("account", ID16), Column("text", HASH32), Column("since_batch", U64)),
    1,
)
QUARANTINES = Table(
    "quarantines",
    (Column("device", ID16), Column("reason", U8), Column("evidence", HASH32), Column("last_epoch", U64)),
)
LIFTS = Table(
    "lifts",
    (
        Column("device", ID16),
        Column("reason", U8),
        Column("evidence", HASH32),
        Column("ends", U8),  # 1: a quarantine
        Column("answers", U8),  # 1: an appeal
    ),
)
APPEALS = Table("appeals", (Column("device", ID16), Column("account", ID16), Column("text", HASH32)))

Writing = dict[str, dict[Key, Row | None]]


class Book:
    """Devices, quarantines and appeals while a batch is executed: its changes lie in `delta`, its records in lists."""

    def __init__(self, state: TableState, frame: Frame, delta: Writing, device_of: "Callable[[Row], Device]") -> None:
        self.frame = frame
        self.delta = delta
        self._device_of = device_of
        self._devices, self.quarantined, self.appealed = (
            self._laid_over(state, name) for name in ("devices", QUARANTINED_DEVICES.name, APPEALED.name)
        )
        self.ends = rows_of(state, ENDS.name)
        self.quarantines: list[Row] = []
        self.lifts: list[Row] = []
        self.appeals: list[Row] = []

    def _laid_over(self, state: TableState, name: str) -> Rows:
        """Only `get` and `in` of it are used: they look at what has been written since."""
        return Overlaid(rows_of(state, name), self.delta.setdefault(name, {}))

    def device(self, device: bytes) -> "Device | None":
        row = self._devices.get((device,))
        return self._device_of(row) if row else None

    def put(self, device: bytes, changed: "Device") -> None:
        self.delta["devices"][(device,)] = tuple(changed)

    def is_forked(self, device: bytes) -> bool:
        held = self.quarantined.get((device,))
        return held is not None and held[0] == reasons.FORK

    def set(self, table: Table, key: Key, row: Row | None) -> None:
        self.delta.setdefault(table.name, {})[key] = row


# RULES


def begin(book: Book, device: bytes, reason: int, evidence: bytes, last_epoch: int) -> None:
    """From this batch on. What is held already is held on."""
    before, batch = book.device(device), book.frame.number
    assert before is not None
    if before.standing != QUARANTINED:
        book.put(device, before._replace(standing=QUARANTINED, since_batch=batch))
    book.set(QUARANTINED_DEVICES, (device,), (reason, evidence, last_epoch, batch))
    book.quarantines.append((device, reason, evidence, last_epoch))
    if last_epoch != NEVER:
        book.set(ENDS, (last_epoch, device), (batch,))


def _end(book: Book, device: bytes) -> None:
    """From the next batch on."""
    before = book.device(device)
    assert before is not None and before.standing == QUARANTINED and not book.is_forked(device)
    book.put(device, before._replace(standing=ACTIVE, since_batch=book.frame.number))
    book.set(QUARANTINED_DEVICES, (device,), None)


def executed(message: OwnerRow, book: Book) -> int:
    """Execute a quarantine, a lift or an appeal; the verdict."""
    device = book.device(message.body[0])
    if device is None:
        return verdicts.UNKNOWN_DEVICE
    if message.kind == kinds.QUARANTINE:
        return _quarantine(message, device, book)
    if message.kind == kinds.LIFT:
        return _lift(message, book)
    return _appeal(message, device, book)


def _quarantine(message: OwnerRow, device: "Device", book: Book) -> int:
    _, reason, evidence, last_epoch = message.body
    if device.standing != ACTIVE:
        return verdicts.QUARANTINED if device.standing == QUARANTINED else verdicts.REVOKED
    parameters = book.frame.parameters
    first = parameters.calendar.epoch_of(book.frame.last_slot + 1)
    if not first <= last_epoch < first + parameters.integer("quarantine_epochs_max"):
        return verdicts.BAD_EPOCH
    begin(book, message.body[0], reason, evidence, last_epoch)
    return verdicts.OK


def _lift(message: OwnerRow, book: Book) -> int:
    device, reason, evidence = message.body
    held, appeal = book.quarantined.get((device,)), book.appealed.get((device,))
    rejects = reason == reasons.APPEAL_REJECTED
    if appeal is None and (held is None or rejects):
        return verdicts.NOTHING_OPEN
    if held is not None and not rejects:
        if held[0] == reasons.FORK:
            return verdicts.FORK
        _end(book, device)
        book.set(ENDS, (held[2], device), None)
    book.lifts.append((device, reason, evidence, int(held is not None and not rejects), int(appeal is not None)))
    if appeal is not None:
        book.set(APPEALED, (device,), None)
    return verdicts.OK


def _appeal(message: OwnerRow, device: "Device", book: Book) -> int:
    key, text = message.body
    if device.owner != message.account:
        return verdicts.NOT_OWNER
    if (key,) in book.appealed:
        return verdicts.DUPLICATE
    book.set(APPEALED, (key,), (message.account, text, book.frame.number))
    book.appeals.append((key, message.account, text))
    return verdicts.OK


def expire(book: Book) -> None:
    """End what has its last epoch behind it with this batch."""
    calendar = book.frame.parameters.calendar
    for epoch in range(calendar.epoch_of(book.frame.first_slot), calendar.epoch_of(book.frame.last_slot + 1)):
        for device in _ending(book.ends, epoch):
            held = book.quarantined.get((device,))
            if held is not None and held[2] == epoch:
                _end(book, device)
                book.lifts.append((device, reasons.EXPIRED, bytes(32), 1, 0))


def suspended(book: Book) -> Mapping[int, frozenset[bytes]]:
    """By epoch that closes with this batch: devices that earn nothing in it, whatever their standing is by now. Once it
    is closed its ends are forgotten."""
    frame = book.frame
    newest = frame.parameters.calendar.epoch_of(frame.last_slot)
    changed = book.delta.get(ENDS.name, {})
    found = {}
    for epoch in frame.closing:
        found[epoch] = frozenset(
            device
            for last in range(epoch, newest + 1)
            for device in _ending(book.ends, last)
            if changed.get((last, device), ()) is not None
        )
    for epoch in frame.closing:
        for device in list(_ending(book.ends, epoch)):
            book.set(ENDS, (epoch, device), None)
    return found


def _ending(ends: Rows, epoch: int) -> Iterator[bytes]:
    return (key[1] for key, _ in ends.under((epoch,)))  # type: ignore[misc]


# INVARIANTS


def check(state: TableState, effects: Effects, standing_at: int) -> None:
    """Who is in quarantine is known with the reason, the proof of a copied key is never taken back, and nobody leaves
    without a record. `standing_at` is the column of a device's standing."""
    devices, held = rows_of(state, "devices"), rows_of(state, QUARANTINED_DEVICES.name)
    changed, changed_held = (effects.delta.get(name, {}) for name in ("devices", QUARANTINED_DEVICES.name))
    left = {row[0] for row in effects.records[LIFTS.name] if row[3]}
    for key in changed.keys() | changed_held.keys():
        before, row = devices.get(key), changed.get(key) or devices.get(key)
        was, now = held.get(key), changed_held[key] if key in changed_held else held.get(key)
        assert row is not None and (row[standing_at] == QUARANTINED) == (now is not None), f"quarantine of {key!r}"
        assert was is None or was[0] != reasons.FORK or now == was, f"{key!r} left the quarantine of a copied key"
        if before and before[standing_at] == QUARANTINED and row[standing_at] != QUARANTINED:
            assert key[0] in left, f"{key!r} left quarantine"
    for _, reason, _, last_epoch in effects.records[QUARANTINES.name]:
        assert (reason == reasons.FORK) == (last_epoch == NEVER), "a quarantine ends, but that of a copied key"
