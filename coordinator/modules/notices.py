"""What devices say about themselves: of each device and code the newest value, and a record of every change.

Reports carry notices in their signed bodies. Which of two is the newer is said by boot and seq, never by arrival: a
backlog that comes late takes nothing back. A value that is told again in the same boot is no news, so a notice that was
lost with its report and told once more is one. No money depends on it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from coordinator.kernel.held import Held, Wanted, held
from coordinator.kernel.module import Context, Effects, Lane, Module, Snapshot
from coordinator.kernel.rows import rows_of
from coordinator.kernel.statements import Columns, starts_of
from coordinator.kernel.tables import ID16, U8, U32, U64, Column, ColumnChanges, Table
from device_client.core import notices, verdicts

# PARAMETERS: none. How many pairs a report carries, and how many codes there are, is the wire's.

# CLAIMS: the third field of a report's body, [[code, value], ...].

# TABLES

# At most CODE_MAX + 1 rows a device. `boot` and `seq` are of the newest report that tells it, `since` is the slot of
# the first that told this value.
NOTICES = Table(
    "notices",
    (
        Column("device", ID16),
        Column("code", U8),
        Column("value", U32),
        Column("boot", U32),
        Column("seq", U32),
        Column("since", U64),
    ),
    2,
)
# Another value, or the first of its boot.
TOLD = Table(
    "told",
    (
        Column("device", ID16),
        Column("code", U8),
        Column("value", U32),
        Column("boot", U32),
        Column("seq", U32),
        Column("slot", U64),
        Column("since", U64),
    ),
)

# REFUSALS: none of its own. What is no notice is `bad_body`; those of a refused statement count for nothing.

# RULES

_CODES = notices.CODE_MAX + 1


class Told(NamedTuple):
    """What counts of a lane's notices, by column; ascending by device, code, boot and seq."""

    device: Columns
    code: Columns
    value: Columns
    boot: Columns
    seq: Columns
    slot: Columns


def partial(lane: Lane, snapshot: Snapshot) -> Told:
    """The notices of the lane's accepted statements. State is not asked: few devices say anything."""
    statements = lane.statements
    verdict = snapshot.of_statements["identity"]["code"]
    counts = (verdict == verdicts.OK) | (verdict == verdicts.LATE)
    told = statements.notices[counts[statements.notices["at"]]]
    # Statements come by boot and seq, so a stable sort leaves each code's values in the order in which they were told.
    order = np.argsort(lane.device[told["at"]].astype(np.int64) * _CODES + told["code"], kind="stable")
    told = told[order]
    at = told["at"]
    boot, seq, slot = (statements[name][at].astype(np.int64) for name in ("boot", "seq", "slot"))
    return Told(lane.devices[lane.device[at]], told["code"], told["value"].astype(np.int64), boot, seq, slot)


def finish(context: Context, partials: Sequence[Told]) -> Effects:
    """Hold what is newer than what state holds, and record what differs from it or is the first of its boot."""
    told = Told(*(np.concatenate(parts) for parts in zip(*partials, strict=True))) if partials else None
    if told is None or not len(told.device):
        return Effects({"notices": {}}, {"told": np.empty(0, TOLD.dtype)}, None)
    starts = starts_of(told.device)
    place_of_device = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(told.device)))
    before = held(Wanted(NOTICES), rows_of(context.state, "notices"), told.device[starts])
    key = place_of_device * _CODES + told.code
    place = _places(before, key)
    moment = _moment(_of(before, "boot", place), _of(before, "seq", place))
    is_newer = _moment(told.boot, told.seq) > moment
    told, key, place = Told(*(column[is_newer] for column in told)), key[is_newer], place[is_newer]
    first = np.zeros(len(key), bool)
    first[starts_of(key)] = True
    is_other = told.value != np.where(first, _of(before, "value", place, -1), np.roll(told.value, 1))
    is_new_boot = told.boot != np.where(first, _of(before, "boot", place), np.roll(told.boot, 1))
    # A run of one value begins where another was before it, or with what state holds of it.
    run = np.maximum.accumulate(np.where(first | is_other, np.arange(len(key)), 0))
    since = np.where(is_other, told.slot, _of(before, "since", place))[run]
    columns = {**told._asdict(), "since": since}
    rows = np.empty(int((is_other | is_new_boot).sum()), TOLD.dtype)
    for column in TOLD.columns:
        rows[column.name] = columns[column.name][is_other | is_new_boot]
    last = np.roll(first, -1)
    newest = [columns[column.name][last].astype(column.dtype) for column in NOTICES.columns]
    return Effects({"notices": ColumnChanges(NOTICES, newest)}, {"told": rows}, None)


def _places(before: Held, key: Columns) -> Columns:
    """The row of state with each key, -1 for none."""
    held_key = before.device.astype(np.int64) * _CODES + before.columns["code"]
    at = np.searchsorted(held_key, key)
    found = np.full(len(key), -1)
    within = at < len(held_key)
    same = within.copy()
    same[within] = held_key[at[within]] == key[within]
    found[same] = at[same]
    return found


def _of(before: Held, name: str, place: Columns, absent: int = 0) -> Columns:
    found = np.full(len(place), absent, np.int64)
    found[place >= 0] = before.columns[name][place[place >= 0]]
    return found


def _moment(boot: Columns, seq: Columns) -> Columns:
    return boot.astype(np.uint64) << np.uint64(32) | seq.astype(np.uint64)


# INVARIANTS


def check(context: Context, effects: Effects) -> None:
    """Every code is one of the wire's; nothing holds since later than it was told; all that is held of a device and
    code was told in this batch, each once."""
    rows, changed = effects.records["told"], effects.delta["notices"]
    assert isinstance(rows, np.ndarray)
    assert (rows["since"] <= rows["slot"]).all(), "a notice holds before it was told"
    if not isinstance(changed, ColumnChanges):
        assert not len(changed) and not len(rows), "told, and not held"
        return
    device, code, _, boot, _, since = changed.values_by_column
    assert (np.asarray(code) <= notices.CODE_MAX).all() and (np.asarray(boot) > 0).all(), "not a notice"
    assert (np.asarray(since, np.int64) <= context.frame.last_slot).all(), "a notice of a later batch"
    keys = set(zip(np.asarray(device).tolist(), np.asarray(code).tolist(), strict=True))
    assert len(keys) == len(changed) <= len(context.statements.notices), "two notices of one device and code"


MODULE = Module(
    name="notices",
    version=1,
    reads=("identity",),
    parameters=(),
    state=(NOTICES,),
    records=(TOLD,),
    held=(),
    partial=partial,
    finish=finish,
    check=check,
)
