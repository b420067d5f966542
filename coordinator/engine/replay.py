"""What every device would have earned in a closed epoch, had the network agreed on other parameters.

The batches are verified from what is published, up to the one that closes the epoch; that one is executed again with
the other parameters, on the same state and inputs. All before it stays as it was. So only what is applied when an
epoch closes can be replayed: time decides which statements are in time and which batch closes what, and readings are
judged when they come.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from coordinator.kernel.parameters import TIME, ParameterError, Parameters
from coordinator.kernel.tables import Row, rows_in
from coordinator.modules import DECLARED
from coordinator.modules.rewards import EPOCHS, PAYOUTS
from device_client.core import cose

from . import wire
from .archive import GENESIS_FILE, Archive, Wrong, needed
from .audit import Auditor
from .audit_batch import Checked
from .execute import Executed
from .genesis import parse_genesis
from .header import HEADER_FILE, parse_header
from .seal import Position, sealed
from .wire import Refused

NOT_REPLAYED = {parameter.name: "it is a parameter of time, which decides what a batch holds" for parameter in TIME}
NOT_REPLAYED["sensing_units"] = "readings were judged by it when they came, and are not all published"


class NotReplayed(ValueError):
    """An epoch that is not closed, or a parameter that cannot be replayed; the text names it and says why."""


class Change(NamedTuple):
    """One device: what it was paid and what it would have been, in base units; the withheld part is in both."""

    device: bytes
    owner: bytes
    paid: int
    would_be: int

    @property
    def difference(self) -> int:
        return self.would_be - self.paid


class Totals(NamedTuple):
    emission: int
    paid: int
    treasury: int
    devices: int


class Replay(NamedTuple):
    """`changed` are the parameters with another value: name -> (was, would be)."""

    epoch: int
    batch: int
    changed: Mapping[str, tuple[object, object]]
    devices: list[Change]  # in order of device id; also those that earn nothing either way
    was: Totals
    would_be: Totals


class _Found(Exception):
    pass


def replay(
    archive: Archive,
    given: Mapping[str, object],
    epoch: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Epoch None is the newest closed one. Raises Wrong, NotReplayed, ParameterError."""
    newest = _newest_closed(archive)
    wanted = newest if epoch is None else epoch
    if not 0 <= wanted <= newest:
        raise NotReplayed(f"epoch {wanted} is not closed" if newest >= 0 else "no epoch is closed yet")
    found: list[Replay] = []

    def look(at: Checked) -> None:
        if wanted in at.parameters.calendar.closing(at.header.first_slot, at.header.last_slot):
            found.append(_replayed(at, wanted, other_parameters(at.parameters, given)))
            raise _Found

    try:
        Auditor(archive, progress, look).run()
    except _Found:
        return found[0]
    raise NotReplayed(f"no batch closes epoch {wanted}")


def other_parameters(now: Parameters, given: Mapping[str, object]) -> Parameters:
    """Those in force with some of other values. Raises NotReplayed, ParameterError."""
    held = dict(now.items())
    try:
        other = Parameters(DECLARED, {**held, **given})
    except ParameterError:
        _refuse(held, given)  # what cannot be replayed at all matters more than its range
        raise
    _refuse(held, dict(other.items()))
    return other


def _refuse(held: Mapping[str, object], given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if name in NOT_REPLAYED and value != held[name]:
            raise NotReplayed(f"{name} cannot be replayed: {NOT_REPLAYED[name]}")


def _replayed(at: Checked, epoch: int, other: Parameters) -> Replay:
    position = Position(at.header.number, at.header.previous, at.header.first_slot, at.header.last_slot)
    again = sealed(position, at.inputs, at.refusals, at.state, other, at.beacons).executed
    was, would_be = _payouts(at.executed, epoch), _payouts(again, epoch)
    devices = []
    for device in sorted(was.keys() | would_be.keys()):
        owner = (was.get(device) or would_be[device])[0]
        devices.append(Change(device, owner, *(one[device][1] if device in one else 0 for one in (was, would_be))))
    before, after = dict(at.parameters.items()), dict(other.items())
    changed = {name: (before[name], value) for name, value in after.items() if value != before[name]}
    return Replay(epoch, at.header.number, changed, devices, _totals(at.executed, epoch), _totals(again, epoch))


def _payouts(executed: Executed, epoch: int) -> dict[bytes, tuple[bytes, int]]:
    names = [column.name for column in PAYOUTS.columns]
    rows = [dict(zip(names, row, strict=True)) for row in rows_in(executed.effects["rewards"].records["payouts"])]
    return {row["device"]: (row["owner"], row["paid"]) for row in rows if row["epoch"] == epoch}  # type: ignore[misc]


def _totals(executed: Executed, epoch: int) -> Totals:
    at = [column.name for column in EPOCHS.columns].index("emission")
    row: Row = next(row for row in rows_in(executed.effects["rewards"].records["epochs"]) if row[0] == epoch)
    return Totals(*(int(value) for value in row[at:]))


def _newest_closed(archive: Archive) -> int:
    """By the newest header, which is verified later; -1 for none."""
    numbers = archive.batches()
    data = needed(archive, GENESIS_FILE)
    name = f"batches/{numbers[-1]}/{HEADER_FILE}" if numbers else GENESIS_FILE
    try:
        genesis = parse_genesis(data)
        if not numbers:
            return -1
        header = parse_header(wire.envelope(archive.read(name) or b"", cose.TYPE_HEADER, genesis.hash).payload)
    except Refused as error:
        raise Wrong(-1, name, str(error)) from error
    calendar = genesis.parameters.calendar
    return calendar.closing(0, header.last_slot).stop - 1
