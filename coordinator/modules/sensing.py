"""What was measured: each report's readings against the bounds of their unit, and how much of the epoch they cover.

Two halves. `measure` looks at the readings themselves, which may be private: it runs where they are held, and its one
code per report is published. The rules below it use only those codes, so anyone can execute them.

A report counts whole or not at all. An epoch in which a sensor was stuck (`constant`) earns no sensing share: nobody
can tell which of its values were real.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from coordinator.kernel.amounts import PPM
from coordinator.kernel.module import Effects, Module, Snapshot, StatementRow
from coordinator.kernel.parameters import Parameter, UnitRule
from coordinator.kernel.rows import Overlaid, closing, rows_of
from coordinator.kernel.tables import BLOB, ID16, U32, U64, Column, Key, Row, Table, Value
from coordinator.kernel.windows import marked, marks
from device_client.core import verdicts
from device_client.core.statement import KIND_REPORT

# PARAMETERS

UNITS: tuple[UnitRule, ...] = (
    # unit (SenML, RFC 8428 section 12.1), minimum, maximum, step, run; thousandths of the unit
    ("Cel", -60_000, 130_000, 20_000, 60),
    ("%RH", 0, 100_000, 50_000, 120),
    ("Pa", 30_000_000, 120_000_000, 5_000_000, 120),
    ("lx", 0, 200_000_000, 0, 0),
    ("V", -1_000_000, 1_000_000, 0, 0),
    ("/", 0, 1_000_000, 0, 0),
    ("%", 0, 100_000, 0, 0),
    ("B", 0, 10**15, 0, 0),
    ("count", 0, 10**15, 0, 0),
)
PARAMETERS = (
    Parameter("sensing_late_ppm", 500_000, 0, PPM, "what a late report counts, in millionths of one in time"),
    Parameter("sensing_units", UNITS, 0, 0, "bounds by unit"),
)

# FINDINGS of `measure`, one a statement

NOTHING_MEASURED = 0  # not a report, or one without reading sets
MEASURED = 1
OUT_OF_BOUNDS = 2
JUMP = 3
CONSTANT = 4
BAD_READINGS = 5
MEASURED_NAMES = {
    NOTHING_MEASURED: "nothing_measured",
    MEASURED: "measured",
    OUT_OF_BOUNDS: "out_of_bounds",
    JUMP: "jump",
    CONSTANT: "constant",
    BAD_READINGS: "bad_readings",
}

# TABLES

# One row for each device and epoch: windows with a good report in time; then how many reports were what.
TALLIES = Table(
    "tallies",
    (
        Column("device", ID16),
        Column("epoch", U64),
        Column("bitmap", BLOB),
        Column("late", U32),
        Column("out_of_bounds", U32),
        Column("jump", U32),
        Column("constant", U32),
        Column("bad_readings", U32),
        Column("nothing_measured", U32),
    ),
    2,
)
SENSING = Table(
    "sensing",
    (
        Column("epoch", U64),
        Column("device", ID16),
        Column("windows_measured", U32),
        Column("windows", U32),
        Column("late", U32),
        Column("out_of_bounds", U32),
        Column("jump", U32),
        Column("constant", U32),
        Column("bad_readings", U32),
        Column("nothing_measured", U32),
        Column("weight_ppm", U32),
    ),
)
_EMPTY_TALLY: tuple[Any, ...] = (b"", 0, 0, 0, 0, 0, 0)
_FAULTS = (OUT_OF_BOUNDS, JUMP, CONSTANT, BAD_READINGS, NOTHING_MEASURED)


class Memory(NamedTuple):
    """What `measure` remembers of a device: where its last report stood in the chain, the last reading set of it, and
    for each channel how many sets long it has not changed."""

    boot: int
    seq: int
    values: tuple[int, ...]
    runs: tuple[int, ...]


# RULES for whoever holds the readings


def measure(
    memory: Memory | None,
    row: StatementRow,
    channels: Sequence[Sequence[Any]],
    sets: Sequence[Sequence[int]],
    units: Mapping[str, UnitRule],
) -> tuple[int, Memory | None]:
    """One code for the reading sets of one report, the worst found first in the order of the checks; and the memory.

    `channels` is [[name, unit, exponent], ...] as declared at enrolment, `sets` rows of [dt_ms, one value a channel].
    A unit without a rule is bounded by nothing. A jump is a step between neighbours, so a report behind a gap has none.
    """
    if not sets:
        return NOTHING_MEASURED, memory
    out_of_bounds = jump = constant = False
    neighbour = memory is not None and (memory.boot, memory.seq) == (row.boot, row.seq - 1)
    for reading_set in sets:
        values = tuple(reading_set[1:])
        runs = []
        for index, (_, unit, exponent) in enumerate(channels):
            rule = units.get(unit)
            value = values[index]
            before = memory.values[index] if memory else None
            run = memory.runs[index] + 1 if memory and value == before else 1
            runs.append(run)
            if rule is None:
                continue
            _, minimum, maximum, step, run_max = rule
            out_of_bounds |= not _within(value, exponent, minimum, maximum)
            if neighbour and step and before is not None:
                jump |= not _within(value - before, exponent, -step, step)
            constant |= bool(run_max) and run > run_max
        memory = Memory(row.boot, row.seq, values, tuple(runs))
        neighbour = True
    if out_of_bounds:
        return OUT_OF_BOUNDS, memory
    if jump:
        return JUMP, memory
    return (CONSTANT if constant else MEASURED), memory


def _within(value: int, exponent: int, minimum: int, maximum: int) -> bool:
    """minimum <= value * 10^exponent <= maximum, the bounds in thousandths; integers only."""
    shift = 10 ** abs(exponent + 3)
    if exponent + 3 >= 0:
        return bool(minimum <= value * shift <= maximum)
    return bool(minimum * shift <= value <= maximum * shift)


# RULES for anyone

Tally = dict[tuple[bytes, int], tuple[list[int], list[int]]]  # (device, epoch) -> windows, [late, *counts of _FAULTS]


def partial(lane: Sequence[StatementRow], snapshot: Snapshot) -> Tally:
    identity = snapshot.reads["identity"]
    calendar = snapshot.frame.parameters.calendar
    found: Tally = {}
    for row in lane:
        code = identity.findings.verdicts[row.id]
        if row.kind != KIND_REPORT or code not in (verdicts.OK, verdicts.LATE):
            continue
        # What is late belongs to the epoch that is open when it comes; its own may be long closed.
        epoch = calendar.epoch_of(row.quoted if code == verdicts.OK else row.slot)
        windows, counts = found.setdefault((row.device, epoch), ([], [0] * (1 + len(_FAULTS))))
        if row.measured != MEASURED:
            counts[1 + _FAULTS.index(row.measured)] += 1
        elif code == verdicts.LATE:
            counts[0] += 1
        else:
            interval_s = int(identity.after["devices"][(row.device,)][4])
            windows.append(calendar.window_of(row.quoted, interval_s))
    return found


def finish(snapshot: Snapshot, partials: Sequence[Tally]) -> Effects:
    """Merge the tallies; where an epoch closes, each device's weight is the part of its windows that was measured."""
    parameters = snapshot.frame.parameters
    held = rows_of(snapshot.state, "tallies")
    changed: dict[Key, Row | None] = {}
    for found in partials:
        for key, row in held.each(found):
            windows, counts = found[key]  # type: ignore[index]
            bitmap, *before = row or _EMPTY_TALLY
            merged = [int(old) + new for old, new in zip(before, counts, strict=True)]
            changed[key] = (marked(bitmap, windows), *merged)  # type: ignore[arg-type]
    rows: list[Row] = []
    weights: dict[Value, dict[Value, int]] = {epoch: {} for epoch in snapshot.frame.closing}
    devices = rows_of(snapshot.reads["identity"].after, "devices")
    for (device, epoch), row, declared in closing(Overlaid(held, changed), devices, snapshot.frame.closing):
        bitmap, *counted = row
        counts = [int(value) for value in counted]
        total = parameters.calendar.windows(int(declared[4]))
        measured = marks(bitmap)  # type: ignore[arg-type]
        weight_ppm = _weight_ppm(measured, total, counts, parameters.integer("sensing_late_ppm"))
        rows.append((epoch, device, measured, total, *counts, weight_ppm))
        weights[epoch][device] = weight_ppm
    changed.update(dict.fromkeys((row[1], row[0]) for row in rows))
    return Effects({"tallies": changed}, {"sensing": rows}, weights)


def _weight_ppm(measured: int, total: int, counts: list[int], late_ppm: int) -> int:
    late, constant = counts[0], counts[1 + _FAULTS.index(CONSTANT)]
    return 0 if constant else min(total * PPM, measured * PPM + late * late_ppm) // total


# INVARIANTS


def check(snapshot: Snapshot, effects: Effects) -> None:
    """No weight beyond the whole; a closed epoch leaves nothing behind."""
    for row in effects.records["sensing"]:
        assert 0 <= int(row[-1]) <= PPM and int(row[2]) <= int(row[3]), f"sensing of {row[1]!r}"
    for key, row_after in effects.delta["tallies"].items():
        assert row_after is None or key[1] not in snapshot.frame.closing, f"{key!r} outlived its epoch"


MODULE = Module(
    name="sensing",
    version=1,
    reads=("identity",),
    parameters=PARAMETERS,
    state=(TALLIES,),
    records=(SENSING,),
    partial=partial,
    finish=finish,
    check=check,
)
