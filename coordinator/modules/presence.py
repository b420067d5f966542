"""Who was there: windows of the declared report interval in which a device proved that it held its key.

An on-time report that quotes beacon q marks the window of slot q, and that of q+1 if it arrived after beacon q+1 was
out: so one lost beacon costs nothing. A late one marks nothing, nor does an enrolment. What this proves, and what not
(not hardware, not place, not a distinct machine), is in docs/concepts/trust.md.
"""

from collections.abc import Sequence

import numpy as np

from coordinator.kernel.amounts import PPM
from coordinator.kernel.by_epoch import ByEpoch, by_epoch, closed, merged
from coordinator.kernel.held import Wanted
from coordinator.kernel.module import Context, Effects, Lane, Module, Snapshot
from coordinator.kernel.tables import BLOB, ID16, U32, U64, Column, Table
from coordinator.kernel.windows import marked, marks_of
from device_client.core import verdicts
from device_client.core.statement import KIND_REPORT

# PARAMETERS: time has them all.

# TABLES

WINDOWS = Table("windows", (Column("device", ID16), Column("epoch", U64), Column("bitmap", BLOB)), 2)
PRESENCE = Table(
    "presence",
    (
        Column("epoch", U64),
        Column("device", ID16),
        Column("windows_present", U32),
        Column("windows", U32),
        Column("weight_ppm", U32),
    ),
)

# RULES


def partial(lane: Lane, snapshot: Snapshot) -> ByEpoch:
    """The bitmaps of the lane's devices, with the windows that its statements mark."""
    calendar = snapshot.frame.parameters.calendar
    found = snapshot.of_statements["identity"]
    statements = lane.statements
    present = (found["code"] == verdicts.OK) & (statements["kind"] == KIND_REPORT)
    quoted = statements["quoted"]
    second = present & (statements["slot"] > quoted)
    rows, slots = np.flatnonzero(present), quoted[present]
    if second.any():
        rows = np.concatenate([rows, np.flatnonzero(second)])
        order = np.argsort(rows, kind="stable")
        rows, slots = rows[order], np.concatenate([slots, quoted[second] + 1])[order]
    held = snapshot.held["windows"]
    groups = by_epoch(lane, rows, slots // calendar.epoch_beacons, held)
    windows = calendar.windows_of(slots, found["interval_s"][rows])
    bitmaps = marked(groups.bitmaps(held), groups.group, windows[groups.order])
    return ByEpoch(lane.devices[groups.device], groups.epoch, {"bitmap": bitmaps})


def finish(context: Context, partials: Sequence[ByEpoch]) -> Effects:
    """Where an epoch closes, every device present in it gets its share of windows as weight."""
    closing = context.frame.closing
    changed = merged(WINDOWS, partials)
    if not closing:
        return Effects({"windows": changed}, {"presence": []}, {})
    left, rows = closed(WINDOWS, context, changed)
    total = context.frame.parameters.calendar.windows_in_epoch(rows.interval_s)
    present = marks_of(rows.columns["bitmap"])
    records = np.empty(len(total), PRESENCE.dtype)
    records["epoch"], records["device"] = rows.epoch, rows.device
    records["windows_present"], records["windows"] = present, total
    records["weight_ppm"] = PPM * present // total
    return Effects({"windows": left}, {"presence": records}, rows.weights(closing, records["weight_ppm"]))


# INVARIANTS


def check(context: Context, effects: Effects) -> None:
    """Nobody is present in more windows than there are; a closed epoch leaves nothing behind."""
    rows = effects.records["presence"]
    if len(rows):
        assert isinstance(rows, np.ndarray)
        wrong = (rows["windows_present"] > rows["windows"]) | (rows["weight_ppm"] > PPM)
        assert not wrong.any(), f"presence of {rows['device'][wrong][0].item().hex()}"
    for key, row in effects.delta["windows"].items() if context.frame.closing else ():
        assert row is None or key[1] not in context.frame.closing, f"{key!r} outlived its epoch"


MODULE = Module(
    name="presence",
    version=1,
    reads=("identity",),
    parameters=(),
    state=(WINDOWS,),
    records=(PRESENCE,),
    held=(Wanted(WINDOWS),),
    partial=partial,
    finish=finish,
    check=check,
)
