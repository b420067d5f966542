"""Who was there: windows of the declared report interval in which a device proved that it held its key.

An on-time report that quotes beacon q marks the window of slot q, and that of q+1 if it arrived after beacon q+1 was
out: so one lost beacon costs nothing. A late one marks nothing, nor does an enrolment. What this proves, and what not
(not hardware, not place, not a distinct machine), is in docs/concepts/trust.md.
"""

from collections.abc import Sequence

from coordinator.kernel.amounts import PPM
from coordinator.kernel.module import Effects, Module, Snapshot, StatementRow
from coordinator.kernel.rows import Overlaid, closing, rows_of
from coordinator.kernel.tables import BLOB, ID16, U32, U64, Column, Key, Row, Table
from coordinator.kernel.windows import marked, marks
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

Marks = dict[tuple[bytes, int], list[int]]  # (device, epoch) -> windows

# RULES


def partial(lane: Sequence[StatementRow], snapshot: Snapshot) -> Marks:
    identity = snapshot.reads["identity"]
    calendar = snapshot.frame.parameters.calendar
    found: Marks = {}
    for row in lane:
        if row.kind != KIND_REPORT or identity.findings.verdicts[row.id] != verdicts.OK:
            continue
        interval_s = int(identity.after["devices"][(row.device,)][4])
        slots = (row.quoted, row.quoted + 1) if row.slot > row.quoted else (row.quoted,)
        for slot in slots:
            key = (row.device, calendar.epoch_of(slot))
            found.setdefault(key, []).append(calendar.window_of(slot, interval_s))
    return found


def finish(snapshot: Snapshot, partials: Sequence[Marks]) -> Effects:
    """Merge the marks; where an epoch closes, every device present in it gets its share of windows as weight."""
    held = rows_of(snapshot.state, "windows")
    calendar = snapshot.frame.parameters.calendar
    changed: dict[Key, Row | None] = {}
    for found in partials:
        for key, row in held.each(found):
            changed[key] = (marked(row[0] if row else b"", found[key]),)  # type: ignore[arg-type, index]
    rows: list[Row] = []
    weights: dict[int, dict[bytes, int]] = {epoch: {} for epoch in snapshot.frame.closing}
    devices = rows_of(snapshot.reads["identity"].after, "devices")
    for (device, epoch), (bitmap,), declared in closing(Overlaid(held, changed), devices, snapshot.frame.closing):
        total = calendar.windows(int(declared[4]))
        present = marks(bitmap)  # type: ignore[arg-type]
        weight_ppm = PPM * present // total
        rows.append((epoch, device, present, total, weight_ppm))
        weights[epoch][device] = weight_ppm  # type: ignore[index]
    changed.update(dict.fromkeys((row[1], row[0]) for row in rows))
    return Effects({"windows": changed}, {"presence": rows}, weights)


# INVARIANTS


def check(snapshot: Snapshot, effects: Effects) -> None:
    """Nobody is present in more windows than there are; a closed epoch leaves nothing behind."""
    for _, device, present, total, weight_ppm in effects.records["presence"]:
        assert 0 <= int(present) <= int(total) and 0 <= int(weight_ppm) <= PPM, f"presence of {device!r}"
    for key, row in effects.delta["windows"].items():
        assert row is None or key[1] not in snapshot.frame.closing, f"{key!r} outlived its epoch"


MODULE = Module(
    name="presence",
    version=1,
    reads=("identity",),
    parameters=(),
    state=(WINDOWS,),
    records=(PRESENCE,),
    partial=partial,
    finish=finish,
    check=check,
)
